#include "format/repository.h"

#include "format/lines.h"

#define TITLE       "Tidemark repository\n"
#define WORD_ID     "id "
#define WORD_KEY    "key-check "
#define WORD_DOMAIN "domain "

void repository_encode(const struct repository *repository, struct buffer *target)
{
    size_t start = target->size;

    lines_put_text(target, TITLE);
    lines_put_version(target);
    lines_put_hex(target, WORD_ID, repository->id.bytes, RANDOM_ID_SIZE);
    lines_put_hex(target, WORD_DOMAIN, repository->domain.bytes, RANDOM_ID_SIZE);
    lines_put_hex(target, WORD_KEY, repository->key_check, KEYS_CHECK_SIZE);
    lines_put_crc(target, start);
}

enum status repository_decode(struct slice text, struct repository *ret_repository,
                              struct error *err)
{
    struct repository repository = {0};
    struct slice rest;

    if (text.size > REPOSITORY_FILE_MAX || !lines_are_whole(text, TITLE, &rest))
        return error_set(err, STATUS_CORRUPT,
                         "this is no Tidemark repository's file, or it is damaged");

    enum status st = lines_take_version(&rest, "the repository", err);

    if (st != STATUS_OK)
        return st;
    if (!lines_take_hex(&rest, WORD_ID, repository.id.bytes, RANDOM_ID_SIZE) ||
        !lines_take_hex(&rest, WORD_DOMAIN, repository.domain.bytes, RANDOM_ID_SIZE) ||
        !lines_take_hex(&rest, WORD_KEY, repository.key_check, KEYS_CHECK_SIZE) || rest.size != 0)
        return error_set(err, STATUS_CORRUPT, "the repository's file has lines that cannot be");
    *ret_repository = repository;
    return STATUS_OK;
}
