/* recover/main.c: the program `tidemark-recover`: restore points out of packs, log and recovery kit alone. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/secret.h"
#include "recover/options.h"
#include "recover/run.h"

/* Published: scripts depend on them. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_WRONG_USE = 2,
    EXIT_DAMAGED = 3,
};

/* The one place where a failure ends. */
static void complain(const struct error *err)
{
    (void)fprintf(stderr, "tidemark-recover: %s\n", err->text); /* nowhere else to say it */
}

static int run(const struct options *options)
{
    const struct run_world world = {.out = stdout,
                                    .err = stderr,
                                    .terminal = isatty(STDERR_FILENO) == 1};
    struct error err = {0};
    bool damage = false;
    enum status st = secret_shield_process(&err);

    if (st == STATUS_OK)
        st = run_command(options, &world, &damage, &err);
    if (st == STATUS_OK)
        return damage ? EXIT_DAMAGED : EXIT_DONE;
    complain(&err);
    return st == STATUS_CORRUPT ? EXIT_DAMAGED : EXIT_FAILED;
}

/* --help and --version. */
static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return EXIT_DONE;
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct options options = {.action = OPTIONS_RUN};
    struct error err = {0};

    /* The machine's OpenSSL has its own configuration, which may load plug-ins: not into this program. If it fails, so does the
     * first use. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is told by the call that writes to it */
    if (options_parse(argc, argv, &options, &err) != STATUS_OK) {
        complain(&err);
        return EXIT_WRONG_USE;
    }
    switch (options.action) {
    case OPTIONS_RUN:
        return run(&options);
    case OPTIONS_HELP:
        return print(options_help());
    case OPTIONS_VERSION:
        break;
    }
    return print("tidemark-recover " TIDEMARK_VERSION "\n");
}
