/* tests/console_program_test.c: the built program `tidemark`: exit codes, and what goes to which stream; signals. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/fs_posix.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"
#include "tests/support/test_certificates.h"

enum { WORDS_MAX = 10, PATH_SIZE = TEMP_FOLDER_SIZE + 32, TEXT_SIZE = 16 * 1024, PLACE_SIZE = 32 };

struct env {
    char folder[TEMP_FOLDER_SIZE];
    char tls[PATH_SIZE];
    char out[TEXT_SIZE];
    char err[TEXT_SIZE];
};

/* What the program wrote to NAME, which is then gone. */
static void take_text(struct env *env, const char *name, char text[TEXT_SIZE])
{
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    size_t size = 0;
    struct error err = {0};

    INVARIANT(text != NULL); /* the analyzer cannot know */
    ASSERT_OK(fs_posix_new(env->folder, &fs, &err), &err);
    ASSERT_OK(fs_open(fs, name, FS_READ, &file, &err), &err);
    ASSERT_OK(fs_read_at(file, 0, text, TEXT_SIZE - 1, &size, &err), &err);
    text[size] = '\0';
    fs_close(file);
    ASSERT_OK(fs_remove(fs, name, &err), &err);
    fs_free(fs);
}

/* Starts `tidemark` with WORDS (NULL behind the last) and an environment without anything. */
static pid_t start(struct env *env, const char *const *words)
{
    char *argv[WORDS_MAX + 2] = {(char *)"tidemark"};
    char *environment[] = {NULL};
    char out[PATH_SIZE];
    char err[PATH_SIZE];
    posix_spawn_file_actions_t actions;
    pid_t child = 0;

    for (size_t i = 0; words[i] != NULL; i++) {
        assert_true(i < WORDS_MAX);
        argv[i + 1] = (char *)words[i];
    }
    assert_true(text_format(out, sizeof(out), "%s/out", env->folder));
    assert_true(text_format(err, sizeof(err), "%s/err", env->folder));
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out,
                                                      O_WRONLY | O_CREAT | O_EXCL, 0600),
                     0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err,
                                                      O_WRONLY | O_CREAT | O_EXCL, 0600),
                     0);
    assert_int_equal(posix_spawn(&child, TIDEMARK_PROGRAM, &actions, NULL, argv, environment), 0);
    assert_int_equal(posix_spawn_file_actions_destroy(&actions), 0);
    return child;
}

/* CHILD's exit code. */
static int wait_for(struct env *env, pid_t child)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, 0), child);
    take_text(env, "out", env->out);
    take_text(env, "err", env->err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run(struct env *env, const char *const *words)
{
    return wait_for(env, start(env, words));
}

/* A socket on a free port of this machine, and its address as text. */
static int bind_socket(char ret_place[PLACE_SIZE])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(bound >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(bound, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(bound, (struct sockaddr *)&address, &size), 0);
    assert_true(
        text_format(ret_place, PLACE_SIZE, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port)));
    return bound;
}

/* One line that begins with the program's name, and nothing on standard output. */
static void assert_one_sentence(const struct env *env, const char *words)
{
    const char *end = strchr(env->err, '\n');

    assert_ptr_equal(strstr(env->err, "tidemark: "), env->err);
    assert_non_null(end);
    assert_string_equal(end, "\n");
    if (strstr(env->err, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, env->err);
    assert_string_equal(env->out, "");
}

static int set_up(void **state)
{
    struct env *env = memory_new(1, sizeof(*env));
    struct test_ca *ca = test_certificates_ca_new("consoles");

    assert_non_null(env);
    temp_folder_make(env->folder);
    assert_true(text_format(env->tls, sizeof(env->tls), "%s/tls", env->folder));
    test_certificates_write(env->tls, ca, ca, "admin", TEST_CLIENT);
    test_certificates_ca_free(ca);
    *state = env;
    return 0;
}

static int tear_down(void **state)
{
    struct env *env = *state;

    temp_folder_remove(env->folder);
    memory_free(env);
    return 0;
}

static void help_and_version_go_to_standard_output(void **state)
{
    struct env *env = *state;

    assert_int_equal(run(env, (const char *[]){"--help", NULL}), 0);
    assert_non_null(strstr(env->out, "export POINT FILE"));
    assert_string_equal(env->err, "");
    assert_int_equal(run(env, (const char *[]){"verify", "--help", NULL}), 0);
    assert_non_null(strstr(env->out, "Usage: tidemark verify"));
    assert_int_equal(run(env, (const char *[]){"--version", NULL}), 0);
    assert_ptr_equal(strstr(env->out, "tidemark "), env->out);
}

static void wrong_use_exits_with_2(void **state)
{
    struct env *env = *state;

    assert_int_equal(run(env, (const char *[]){NULL}), 2);
    assert_one_sentence(env, "what shall be done");
    assert_int_equal(run(env, (const char *[]){"list", NULL}), 2);
    assert_one_sentence(env, "TIDEMARK_COORDINATOR");
    assert_int_equal(run(env, (const char *[]){"list", "\x1b[2J", NULL}), 2);
    assert_one_sentence(env, "list wants nothing");
}

static void a_missing_folder_of_certificates_exits_with_1(void **state)
{
    struct env *env = *state;

    assert_int_equal(run(env, (const char *[]){"--coordinator", "localhost:1", "--tls",
                                               "/does/not/exist", "list", NULL}),
                     1);
    assert_one_sentence(env, "/does/not/exist");
}

static void an_address_that_is_none_exits_with_1(void **state)
{
    struct env *env = *state;

    assert_int_equal(run(env, (const char *[]){"--coordinator", "nowhere", "--tls", env->tls,
                                               "list", NULL}),
                     1);
    assert_one_sentence(env, "nowhere");
}

static void a_coordinator_that_does_not_answer_exits_with_4(void **state)
{
    struct env *env = *state;
    char place[PLACE_SIZE];
    int taken = bind_socket(place); /* nobody listens: refused for sure */

    assert_int_equal(run(env,
                         (const char *[]){"--coordinator", place, "--tls", env->tls, "list", NULL}),
                     4);
    assert_one_sentence(env, place);
    assert_int_equal(close(taken), 0);
}

/* Of a coordinator that takes the connection, and then is silent. */
static void a_signal_ends_the_waiting_with_1(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct env *env = *state;
    char place[PLACE_SIZE];
    int silent = bind_socket(place);

    assert_int_equal(listen(silent, 1), 0);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        pid_t child = start(env, (const char *[]){"--coordinator", place, "--tls", env->tls,
                                                  "backup", "disk0", NULL});
        int connection = accept(silent, NULL, NULL); /* so it waits by now */

        assert_true(connection >= 0);
        assert_int_equal(kill(child, signals[i]), 0);
        assert_int_equal(wait_for(env, child), 1);
        assert_one_sentence(env, "back up disk0: stopped on request");
        assert_int_equal(close(connection), 0);
    }
    assert_int_equal(close(silent), 0);
}

#define TEST(FUNCTION) cmocka_unit_test_setup_teardown(FUNCTION, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(help_and_version_go_to_standard_output),
        TEST(wrong_use_exits_with_2),
        TEST(a_missing_folder_of_certificates_exits_with_1),
        TEST(an_address_that_is_none_exits_with_1),
        TEST(a_coordinator_that_does_not_answer_exits_with_4),
        TEST(a_signal_ends_the_waiting_with_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
