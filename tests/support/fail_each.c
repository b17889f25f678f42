#include "tests/support/fail_each.h"

#include "base/invariant.h"

uint64_t fail_each(struct faults *faults, unsigned classes, void (*attempt)(void *arg, uint64_t n),
                   void *arg)
{
    const uint64_t most = 1000000;

    for (uint64_t n = 1;; n++) {
        INVARIANT(n <= most);
        faults_arm(faults, classes, n);
        attempt(arg, n);
        faults_arm(faults, 0, 0);
        if (!faults_fired(faults))
            return n - 1;
    }
}
