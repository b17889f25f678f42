#include "coordinator/key_commands.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "base/named_file.h"
#include "base/secret.h"
#include "base/text.h"
#include "coordinator/key_file.h"

#define ASK_KEY   "Passphrase of the key: "
#define ASK_KIT   "Passphrase of the recovery kit: "
#define ASK_NEW   "New passphrase: "
#define ASK_AGAIN "The same again: "

/* ---- Keys, opened and locked ----------------------------------------------------------------- */

/* The key of TEXT; its passphrase, if it has one, is in OPTIONS' file or asked for by PROMPT. */
static enum status open_text(const struct options *options, const struct key_text *text,
                             const char *prompt, struct repository_key *ret_key, struct error *err)
{
    struct secret passphrase = {.size = 0};
    enum status st = STATUS_OK;

    if (text->wrapped)
        st = secret_get(options->passphrase_file, "--passphrase-file FILE", prompt, NULL,
                        &passphrase, err);
    if (st == STATUS_OK)
        st = key_text_open(text, secret_slice(&passphrase), ret_key, err);
    secret_wipe(&passphrase);
    return st;
}

enum status key_commands_open(const struct options *options, struct repository_key *ret_key,
                              struct error *err)
{
    struct key_text text = {0};
    enum status st = key_file_read(options->key, &text, err);

    if (st == STATUS_OK) {
        st = open_text(options, &text, ASK_KEY, ret_key, err);
        if (st != STATUS_OK)
            st = error_wrap(err, "the key file %s", options->key);
    }
    OPENSSL_cleanse(&text, sizeof(text));
    return st;
}

/* The wrapped form of KEY, which was opened again before it is given out. */
static enum status wrap(const struct random_id *repository, const struct repository_key *key,
                        struct slice passphrase, struct key_wrap *ret_wrap, struct error *err)
{
    struct repository_key opened = {0};
    struct key_wrap made;
    enum status st = key_wrap_seal(repository, key, &key_wrap_cost_default, passphrase,
                                   random_system(), &made, err);

    if (st == STATUS_OK)
        st = key_wrap_open(&made, passphrase, &opened, err);
    if (st == STATUS_OK && CRYPTO_memcmp(opened.bytes, key->bytes, sizeof(opened.bytes)) != 0)
        st = error_set(err, STATUS_INTERNAL, "the locked key opens to another one");
    if (st == STATUS_OK)
        *ret_wrap = made;
    OPENSSL_cleanse(&opened, sizeof(opened));
    return st;
}

/* KEY as it is to be written: plain, or under a passphrase from FILE or asked for twice. WAY_OUT as in secret_get(). */
static enum status lock(const struct options *options, const char *file, const char *way_out,
                        const struct random_id *repository, const struct repository_key *key,
                        struct key_text *ret_text, struct error *err)
{
    struct secret passphrase = {.size = 0};
    struct key_text text = {.wrapped = !options->no_passphrase};
    enum status st = STATUS_OK;

    if (text.wrapped) {
        st = secret_get(file, way_out, ASK_NEW, ASK_AGAIN, &passphrase, err);
        if (st == STATUS_OK)
            st = wrap(repository, key, secret_slice(&passphrase), &text.wrap, err);
    } else {
        text.plain = *key;
    }
    if (st == STATUS_OK)
        *ret_text = text;
    secret_wipe(&passphrase);
    OPENSSL_cleanse(&text, sizeof(text));
    return st;
}

/* STATUS_DENIED: KEY does not open REPOSITORY, which is OPTIONS'. */
static enum status prove(const struct options *options, const struct repository *repository,
                         const struct repository_key *key, struct error *err)
{
    uint8_t check[KEYS_CHECK_SIZE];
    struct keys *keys = NULL;
    enum status st = keys_new(key, &keys, err);

    if (st != STATUS_OK)
        return st;
    keys_check(keys, check);
    keys_free(keys);
    if (memcmp(check, repository->key_check, sizeof(check)) != 0)
        return error_set(err, STATUS_DENIED,
                         "it does not open the repository in %s, which was made with another key",
                         options->data);
    return STATUS_OK;
}

/* STATUS_DENIED: what says that it is of the repository ID is not of REPOSITORY. Asked before a passphrase is. */
static enum status check_id(const struct options *options, const struct repository *repository,
                            const struct random_id *id, struct error *err)
{
    char its[2 * RANDOM_ID_SIZE + 1];
    char ours[2 * RANDOM_ID_SIZE + 1];

    if (random_id_equal(id, &repository->id))
        return STATUS_OK;
    text_hex(slice_of(id->bytes, RANDOM_ID_SIZE), its);
    text_hex(slice_of(repository->id.bytes, RANDOM_ID_SIZE), ours);
    return error_set(err, STATUS_DENIED, "it is of the repository %s, and in %s is %s", its,
                     options->data, ours);
}

/* The text of OPTIONS->key, and its key, which opens the repository in OPTIONS->data. The caller wipes both. */
static enum status open_proved(const struct options *options, struct repository *ret_repository,
                               struct key_text *ret_text, struct repository_key *ret_key,
                               struct error *err)
{
    enum status st = repository_file_read(options->data, ret_repository, err);

    if (st == STATUS_OK)
        st = key_file_read(options->key, ret_text, err);
    if (st != STATUS_OK)
        return st;
    if (ret_text->wrapped)
        st = check_id(options, ret_repository, &ret_text->wrap.repository, err);
    if (st == STATUS_OK)
        st = open_text(options, ret_text, ASK_KEY, ret_key, err);
    if (st == STATUS_OK)
        st = prove(options, ret_repository, ret_key, err);
    if (st != STATUS_OK)
        return error_wrap(err, "the key file %s", options->key);
    return STATUS_OK;
}

/* ---- Kits ------------------------------------------------------------------------------------ */

/* Today, UTC. */
static void put_date(char made[KIT_DATE_SIZE])
{
    time_t seconds = (time_t)(clock_wall_us(clock_system()) / 1000000);
    struct tm day = {0};
    char text[64] = "";
    bool fits = gmtime_r(&seconds, &day) != NULL &&
                text_format(text, sizeof(text), "%04d-%02d-%02d", day.tm_year + 1900,
                            day.tm_mon + 1, day.tm_mday) &&
                strlen(text) == KIT_DATE_SIZE - 1;

    memcpy(made, fits ? text : "1970-01-01", KIT_DATE_SIZE); /* a clock that is beside itself */
}

/* The text of a kit of today into TEXT, of secret_buffer_init(); AGENTS_CA may be empty. */
static enum status put_kit(const struct random_id *repository, const struct key_text *key,
                           struct slice agents_ca, struct buffer *text, struct error *err)
{
    struct kit kit = {.repository = *repository, .key = *key, .agents_ca = agents_ca};

    put_date(kit.made);
    kit_encode(&kit, text);
    OPENSSL_cleanse(&kit, sizeof(kit));
    return buffer_check(text, "the recovery kit", err);
}

/* OPTIONS' place for a kit, which is free and where one should be; and the certificates that go into it. */
static enum status prepare_kit(const struct options *options, struct named_file *ret_place,
                               struct buffer *agents_ca, struct error *err)
{
    enum status st = key_file_place(options->kit, "recovery kit", options->data, ret_place, err);

    if (st == STATUS_OK && !options->kit_anywhere)
        st = kit_file_check_apart(ret_place, options->data, err);
    if (st == STATUS_OK && options->agents_ca != NULL)
        st = agents_ca_read(options->agents_ca, agents_ca, err);
    return st;
}

/* ---- init ------------------------------------------------------------------------------------ */

struct init {
    const struct options *options;
    enum status (*make)(void *arg, const struct random_id *id, const struct repository_key *key,
                        struct error *err);
    void *arg;
    struct random_id id;
    struct repository_key key;
};

static enum status make_repository(void *arg, struct error *err)
{
    struct init *init = arg;

    return init->make(init->arg, &init->id, &init->key, err);
}

/* All that is written, then writes it. */
static enum status make_all(struct init *init, const struct key_files *places,
                            struct slice agents_ca, struct error *err)
{
    struct key_files files = *places;
    struct key_text text = {0};
    struct buffer key_bytes;
    struct buffer kit_bytes;
    enum status st = random_bytes(random_system(), init->id.bytes, RANDOM_ID_SIZE, err);

    buffer_init(&kit_bytes, 0);
    buffer_init(&key_bytes, 0);
    if (st == STATUS_OK)
        st = random_bytes(random_system(), init->key.bytes, sizeof(init->key.bytes), err);
    if (st == STATUS_OK)
        st = lock(init->options, init->options->passphrase_file,
                  "--passphrase-file FILE, or --no-passphrase", &init->id, &init->key, &text, err);
    if (st == STATUS_OK)
        st = secret_buffer_init(&key_bytes, KEY_TEXT_MAX, err);
    if (st == STATUS_OK)
        st = secret_buffer_init(&kit_bytes, KIT_FILE_MAX, err);
    if (st == STATUS_OK) {
        key_text_encode(&text, &key_bytes);
        st = buffer_check(&key_bytes, "the key file", err);
    }
    if (st == STATUS_OK)
        st = put_kit(&init->id, &text, agents_ca, &kit_bytes, err);
    files.key_text = buffer_slice(&key_bytes);
    files.kit_text = buffer_slice(&kit_bytes);
    if (st == STATUS_OK)
        st = key_files_make(&files, make_repository, init, err);
    secret_buffer_deinit(&kit_bytes);
    secret_buffer_deinit(&key_bytes);
    OPENSSL_cleanse(&text, sizeof(text));
    return st;
}

enum status key_commands_init(const struct options *options,
                              enum status (*make)(void *arg, const struct random_id *id,
                                                  const struct repository_key *key,
                                                  struct error *err),
                              void *arg, struct error *err)
{
    struct init init = {.options = options, .make = make, .arg = arg};
    struct named_file key = {0};
    struct named_file kit = {0};
    struct key_files files = {.key = &key, .kit = &kit};
    struct buffer agents_ca;

    buffer_init(&agents_ca, KIT_CA_MAX);

    enum status st = key_file_place(options->key, "key file", options->data, &key, err);

    if (st == STATUS_OK)
        st = prepare_kit(options, &kit, &agents_ca, err);
    if (st == STATUS_OK)
        st = make_all(&init, &files, buffer_slice(&agents_ca), err);
    buffer_deinit(&agents_ca);
    named_file_close(&kit);
    named_file_close(&key);
    OPENSSL_cleanse(&init, sizeof(init));
    if (st == STATUS_OK)
        (void)printf("made a repository in %s; its key is in %s, its recovery kit in %s: print the "
                     "kit and keep it elsewhere, it opens the repository when all else is lost\n",
                     options->data, options->key, options->kit);
    return st;
}

/* ---- repository key -------------------------------------------------------------------------- */

static enum status confirm_kit(const struct options *options, struct repository *ret_repository,
                               struct error *err)
{
    struct repository_key key = {0};
    struct kit kit = {0};
    struct buffer text;

    buffer_init(&text, KIT_FILE_MAX);

    enum status st = repository_file_read(options->data, ret_repository, err);

    if (st == STATUS_OK)
        st = kit_file_read(options->kit, &text, &kit, err);
    if (st != STATUS_OK)
        goto out;
    st = check_id(options, ret_repository, &kit.repository, err);
    if (st == STATUS_OK)
        st = open_text(options, &kit.key, ASK_KIT, &key, err);
    if (st == STATUS_OK)
        st = prove(options, ret_repository, &key, err);
    if (st != STATUS_OK)
        st = error_wrap(err, "the recovery kit %s", options->kit);
out:
    OPENSSL_cleanse(&key, sizeof(key));
    OPENSSL_cleanse(&kit, sizeof(kit));
    secret_buffer_deinit(&text);
    return st;
}

static enum status confirm_key(const struct options *options, struct repository *ret_repository,
                               struct error *err)
{
    struct key_text text = {0};
    struct repository_key key = {0};
    enum status st = open_proved(options, ret_repository, &text, &key, err);

    OPENSSL_cleanse(&text, sizeof(text));
    OPENSSL_cleanse(&key, sizeof(key));
    return st;
}

enum status key_commands_confirm(const struct options *options, struct error *err)
{
    struct repository repository = {0};
    char id[2 * RANDOM_ID_SIZE + 1];
    bool kit = options->kit != NULL;
    enum status st =
        kit ? confirm_kit(options, &repository, err) : confirm_key(options, &repository, err);

    if (st != STATUS_OK)
        return st;
    text_hex(slice_of(repository.id.bytes, RANDOM_ID_SIZE), id);
    (void)printf("%s %s opens the repository %s in %s\n", kit ? "the recovery kit" : "the key file",
                 kit ? options->kit : options->key, id, options->data);
    return STATUS_OK;
}

/* The key as the new kit has it: a locked one as it is, with its passphrase, unless it shall have none. */
static enum status key_for_kit(const struct options *options, const struct repository *repository,
                               const struct key_text *text, const struct repository_key *key,
                               struct key_text *ret_text, struct error *err)
{
    if (text->wrapped && !options->no_passphrase) {
        *ret_text = *text;
        return STATUS_OK;
    }
    return lock(options, options->passphrase_file, "--passphrase-file FILE, or --no-passphrase",
                &repository->id, key, ret_text, err);
}

static enum status export_to(const struct options *options, const struct named_file *place,
                             struct slice agents_ca, struct error *err)
{
    struct repository repository = {0};
    struct key_text text = {0};
    struct key_text kit_key = {0};
    struct repository_key key = {0};
    struct buffer bytes;

    enum status st = secret_buffer_init(&bytes, KIT_FILE_MAX, err);

    if (st == STATUS_OK)
        st = open_proved(options, &repository, &text, &key, err);
    if (st == STATUS_OK)
        st = key_for_kit(options, &repository, &text, &key, &kit_key, err);
    if (st == STATUS_OK)
        st = put_kit(&repository.id, &kit_key, agents_ca, &bytes, err);
    if (st == STATUS_OK) {
        st = named_file_write_new(place, buffer_slice(&bytes), err);
        if (st != STATUS_OK)
            st = error_wrap(err, "the recovery kit %s", options->kit);
    }
    secret_buffer_deinit(&bytes);
    OPENSSL_cleanse(&kit_key, sizeof(kit_key));
    OPENSSL_cleanse(&text, sizeof(text));
    OPENSSL_cleanse(&key, sizeof(key));
    return st;
}

enum status key_commands_export(const struct options *options, struct error *err)
{
    struct named_file place = {0};
    struct buffer agents_ca;

    buffer_init(&agents_ca, KIT_CA_MAX);

    enum status st = prepare_kit(options, &place, &agents_ca, err);

    if (st == STATUS_OK)
        st = export_to(options, &place, buffer_slice(&agents_ca), err);
    buffer_deinit(&agents_ca);
    named_file_close(&place);
    if (st == STATUS_OK)
        (void)printf("wrote the recovery kit %s: print it and keep it elsewhere\n", options->kit);
    return st;
}

/* TEXT into the key file of OPTIONS, in place of what is there. */
static enum status replace_key(const struct options *options, const struct key_text *text,
                               struct error *err)
{
    struct named_file place = {0};
    enum status st = named_file_open(options->key, &place, err);

    if (st == STATUS_OK)
        st = key_file_replace(&place, text, err);
    named_file_close(&place);
    if (st != STATUS_OK)
        return error_wrap(err, "the key file %s", options->key);
    return STATUS_OK;
}

enum status key_commands_change_passphrase(const struct options *options, struct error *err)
{
    struct repository repository = {0};
    struct key_text before = {0};
    struct key_text after = {0};
    struct repository_key key = {0};
    enum status st = open_proved(options, &repository, &before, &key, err);

    if (st == STATUS_OK)
        st = lock(options, options->new_passphrase_file,
                  "--new-passphrase-file FILE, or --no-passphrase", &repository.id, &key, &after,
                  err);
    if (st == STATUS_OK)
        st = replace_key(options, &after, err);
    OPENSSL_cleanse(&before, sizeof(before));
    OPENSSL_cleanse(&after, sizeof(after));
    OPENSSL_cleanse(&key, sizeof(key));
    if (st == STATUS_OK)
        (void)printf(
            "the key file %s %s now. The key itself is the same: recovery kits from before, and "
            "copies of the old key file, open as they did. Write a new kit (repository key "
            "export), and destroy those.\n",
            options->key, options->no_passphrase ? "has no passphrase" : "has the new passphrase");
    return st;
}
