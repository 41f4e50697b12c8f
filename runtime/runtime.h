/*
 * runtime.h - what stands above the runtime needs of it beyond the public calls.
 *
 * Owns:       who may start runtimes in this process: anyone, or the one who has claimed it.
 * Threads:    any.
 * Invariant:  while the process is claimed no runtime lives but the claimer's.
 */
#ifndef WHORL_RUNTIME_INTERNAL_H
#define WHORL_RUNTIME_INTERNAL_H

#include "base/compiler.h"
#include "whorl.h"

#include <stdbool.h>

/* True: no runtime lived, and from now on whorl_run is refused (-EBUSY) until the release. */
WHORL_MUST_USE bool whorl__process_claim(void);
void whorl__process_release(void);

/* whorl_run for the claimer: without asking whether the process is claimed. */
WHORL_MUST_USE int whorl__run(whorl_body *body, void *arg, const struct whorl_options *options);

#endif
