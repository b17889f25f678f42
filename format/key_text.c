#include "format/key_text.h"

#include <openssl/crypto.h>

#include "format/lines.h"

#define TITLE_WORD "Tidemark key"

void key_text_encode(const struct key_text *key, struct buffer *target)
{
    char plain[KEY_FILE_SIZE];

    if (key->wrapped) {
        key_wrap_encode(&key->wrap, target);
        return;
    }
    key_file_encode(&key->plain, plain);
    buffer_put(target, slice_of(plain, sizeof(plain)));
    OPENSSL_cleanse(plain, sizeof(plain));
}

enum status key_text_decode(struct slice text, struct key_text *ret_key, struct error *err)
{
    struct key_text key = {0};
    struct slice rest = text;
    enum status st = STATUS_OK;

    key.wrapped = lines_take_word(&rest, TITLE_WORD);
    if (key.wrapped)
        st = key_wrap_decode(text, &key.wrap, err);
    else
        st = key_file_decode(text, &key.plain, err);
    if (st == STATUS_OK)
        *ret_key = key;
    OPENSSL_cleanse(&key, sizeof(key));
    return st;
}

enum status key_text_open(const struct key_text *key, struct slice passphrase,
                          struct repository_key *ret_key, struct error *err)
{
    if (key->wrapped)
        return key_wrap_open(&key->wrap, passphrase, ret_key, err);
    *ret_key = key->plain;
    return STATUS_OK;
}
