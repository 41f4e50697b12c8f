/*
 * tell.c - see tell.h.
 */
#include "support/tell.h"

#include <stdio.h>
#include <stdlib.h>

#undef whorl_run

void tell_loops(int loops)
{
    if (getenv("WHORL_TELL_LOOPS") != NULL && loops > 0) {
        printf("[ LOOPS    ] %d\n", loops);
        fflush(stdout); /* a child of fork must not say it again */
    }
}

int run_and_tell(whorl_body *body, void *arg, const struct whorl_options *options)
{
    tell_loops(options != NULL ? options->loops : 0);
    return whorl_run(body, arg, options);
}
