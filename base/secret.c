#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/named_file.h"

#define TERMINAL "/dev/tty"

void secret_wipe(struct secret *secret)
{
    OPENSSL_cleanse(secret, sizeof(*secret));
}

struct slice secret_slice(const struct secret *secret)
{
    return slice_of(secret->bytes, secret->size);
}

/* Without the one line feed at its end. */
static enum status check(struct secret *secret, struct error *err)
{
    if (secret->size > 0 && secret->bytes[secret->size - 1] == '\n')
        secret->size--;
    if (secret->size == 0)
        return error_set(err, STATUS_INVALID, "the passphrase is empty");
    if (secret->size > SECRET_MAX)
        return error_set(err, STATUS_INVALID, "the passphrase is longer than %d bytes", SECRET_MAX);
    return STATUS_OK;
}

enum status secret_read(const char *path, struct secret *ret_secret, struct error *err)
{
    struct secret secret = {.size = 0};
    struct named_file place = {0};
    enum status st = named_file_open(path, &place, err);

    if (st == STATUS_OK)
        st = named_file_check_private(&place, err);
    if (st == STATUS_OK)
        st = named_file_read(&place, secret.bytes, sizeof(secret.bytes), &secret.size, err);
    if (st == STATUS_OK)
        st = check(&secret, err);
    if (st == STATUS_OK)
        *ret_secret = secret;
    named_file_close(&place);
    secret_wipe(&secret);
    if (st != STATUS_OK)
        return error_wrap(err, "the passphrase file %s", path);
    return STATUS_OK;
}

/* ---- The terminal ---- */

struct terminal {
    int file;
    int signals; /* readable while one of HEARD waits */
    sigset_t heard;
    sigset_t mask_before;
    struct termios shown;
};

static void put(const struct terminal *terminal, const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t done =
            write(terminal->file, text, size); /* allowed: a terminal, nothing that stays */

        if (done < 0 && errno != EINTR)
            return; /* nobody sees the prompt; what is typed counts all the same */
        if (done > 0) {
            text += done;
            size -= (size_t)done;
        }
    }
}

/* From here to show() nothing that is typed appears, and the signals of HEARD wait. */
static enum status hide(struct terminal *terminal, struct error *err)
{
    struct termios hidden;

    (void)pthread_sigmask(SIG_BLOCK, &terminal->heard, &terminal->mask_before);
    if (tcgetattr(terminal->file, &terminal->shown) == 0) {
        hidden = terminal->shown;
        hidden.c_lflag = (hidden.c_lflag | ICANON | ISIG | ECHONL) & ~(tcflag_t)ECHO;
        if (tcsetattr(terminal->file, TCSAFLUSH, &hidden) == 0)
            return STATUS_OK;
    }
    error_set_errno(err, errno, "make the terminal ready for a passphrase");
    (void)pthread_sigmask(SIG_SETMASK, &terminal->mask_before, NULL);
    return err->status;
}

/* A signal that waits is delivered now. */
static void show(struct terminal *terminal)
{
    (void)tcsetattr(terminal->file, TCSAFLUSH,
                    &terminal->shown); /* also drops what is left of a line */
    (void)pthread_sigmask(SIG_SETMASK, &terminal->mask_before, NULL);
}

/* A line, or *ret_signal: one waits. */
static enum status read_line(struct terminal *terminal, struct secret *secret, bool *ret_signal,
                             struct error *err)
{
    struct pollfd polled[] = {{.fd = terminal->signals, .events = POLLIN},
                              {.fd = terminal->file, .events = POLLIN}};
    ssize_t size = 0;

    while (poll(polled, 2, -1) < 0)
        if (errno != EINTR)
            return error_set_errno(err, errno, "wait for the terminal");
    if (polled[0].revents != 0) {
        *ret_signal = true;
        return STATUS_OK;
    }
    size = read(terminal->file, secret->bytes, sizeof(secret->bytes));
    if (size < 0)
        return error_set_errno(err, errno, "read the terminal");
    secret->size = (size_t)size;
    return check(secret, err);
}

static enum status ask(struct terminal *terminal, const char *prompt, struct secret *secret,
                       struct error *err)
{
    enum status st = STATUS_OK;
    bool signalled = false;

    do {
        st = hide(terminal, err);
        if (st != STATUS_OK)
            return st;
        signalled = false;
        put(terminal, prompt);
        st = read_line(terminal, secret, &signalled, err);
        if (signalled)
            put(terminal, "\n");
        show(terminal); /* may end the process; who comes back was stopped, and goes on */
    } while (signalled);
    return st;
}

static enum status open_terminal(struct terminal *terminal, struct error *err)
{
    static const int heard[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

    /* fails for signal numbers that do not exist, which these do */
    (void)sigemptyset(&terminal->heard);
    for (size_t i = 0; i < sizeof(heard) / sizeof(heard[0]); i++)
        (void)sigaddset(&terminal->heard, heard[i]);
    terminal->signals = -1;
    terminal->file = open(TERMINAL, O_RDWR | O_CLOEXEC | O_NOCTTY); /* allowed: no file of ours */
    if (terminal->file < 0)
        return error_set(err, STATUS_UNSUPPORTED, "there is no terminal to ask for a passphrase");
    terminal->signals = signalfd(-1, &terminal->heard, SFD_CLOEXEC | SFD_NONBLOCK);
    if (terminal->signals < 0)
        return error_set_errno(err, errno, "hear signals");
    return STATUS_OK;
}

enum status secret_ask(const char *prompt, struct secret *ret_secret, struct error *err)
{
    struct terminal terminal = {0};
    struct secret secret = {.size = 0};
    enum status st = open_terminal(&terminal, err);

    if (st == STATUS_OK)
        st = ask(&terminal, prompt, &secret, err);
    if (st == STATUS_OK)
        *ret_secret = secret;
    if (terminal.signals >= 0)
        (void)close(terminal.signals);
    if (terminal.file >= 0)
        (void)close(terminal.file);
    secret_wipe(&secret);
    return st;
}

enum status secret_get(const char *path, const char *way_out, const char *prompt, const char *again,
                       struct secret *ret_secret, struct error *err)
{
    struct secret first = {.size = 0};
    struct secret second = {.size = 0};
    enum status st =
        path != NULL ? secret_read(path, &first, err) : secret_ask(prompt, &first, err);

    if (path == NULL && again != NULL && st == STATUS_OK) {
        st = secret_ask(again, &second, err);
        if (st == STATUS_OK && (first.size != second.size ||
                                CRYPTO_memcmp(first.bytes, second.bytes, first.size) != 0))
            st = error_set(err, STATUS_INVALID, "two different passphrases were typed");
    }
    if (st == STATUS_UNSUPPORTED)
        st = error_set(err, st, "there is no terminal to ask for a passphrase: use %s", way_out);
    if (st == STATUS_OK)
        *ret_secret = first;
    secret_wipe(&first);
    secret_wipe(&second);
    return st;
}

/* ---- Memory ---- */

enum status secret_buffer_init(struct buffer *buffer, size_t limit, struct error *err)
{
    buffer_init(buffer, limit);
    (void)buffer_extend(buffer, limit);

    enum status st = buffer_check(buffer, "a text with secrets", err);

    buffer_clear(buffer);
    return st;
}

void secret_buffer_deinit(struct buffer *buffer)
{
    if (buffer->data != NULL)
        OPENSSL_cleanse(buffer->data, buffer->capacity);
    buffer_deinit(buffer);
}

/* ---- The process ---- */

enum status secret_shield_process(struct error *err)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set_errno(err, errno, "forbid core files");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set_errno(err, errno, "keep this process's memory to itself");
    return STATUS_OK;
}
