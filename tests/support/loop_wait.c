#include "tests/support/loop_wait.h"

#include "tests/support/test.h"

void loop_wait(struct loop *loop, const bool *done)
{
    struct error err = {0};

    while (!*done)
        ASSERT_OK(loop_run(loop, &err), &err);
}
