#include "base/stop_signal.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/memory.h"

struct stop_signal {
    struct loop *loop;
    struct loop_task *on_stop;
    pthread_t thread;
    atomic_bool ending; /* the next signal is stop_signal_free()'s */
    sigset_t heard;
    sigset_t mask_before;
};

/* The signals are blocked in every thread, so that they wait for this one. */
static void *hear(void *arg)
{
    struct stop_signal *stop = arg;
    bool told = false;
    int number = 0;

    for (;;) {
        if (sigwait(&stop->heard, &number) != 0)
            continue;
        if (atomic_load(&stop->ending))
            return NULL;
        if (told)
            _exit(1); /* asked twice: whoever asks has no patience for an orderly end */
        told = true;
        loop_post(stop->loop, stop->on_stop);
    }
}

enum status stop_signal_new(struct loop *loop, struct loop_task *on_stop,
                            struct stop_signal **ret_signal, struct error *err)
{
    struct stop_signal *stop = memory_new(1, sizeof(*stop));
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    if (stop == NULL)
        return error_set_no_memory(err, sizeof(*stop), "listening for signals");
    stop->loop = loop;
    stop->on_stop = on_stop;
    (void)sigemptyset(&stop->heard); /* fails for signal numbers that do not exist, as do these: */
    (void)sigaddset(&stop->heard, SIGINT);
    (void)sigaddset(&stop->heard, SIGTERM);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)pthread_sigmask(SIG_BLOCK, &stop->heard, &stop->mask_before);

    int result = pthread_create(&stop->thread, NULL, hear, stop);

    if (result != 0) {
        (void)pthread_sigmask(SIG_SETMASK, &stop->mask_before, NULL);
        memory_free(stop);
        return error_set_errno(err, result, "start a thread that listens for signals");
    }
    *ret_signal = stop;
    return STATUS_OK;
}

void stop_signal_free(struct stop_signal *signal)
{
    if (signal == NULL)
        return;
    atomic_store(&signal->ending, true);
    /* It waits for that signal, and is there until it is joined. */
    /* NOLINTNEXTLINE(bugprone-bad-signal-to-kill-thread,cert-pos44-c): blocked: nothing is killed */
    (void)pthread_kill(signal->thread, SIGTERM);
    (void)pthread_join(signal->thread, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &signal->mask_before, NULL);
    memory_free(signal);
}
