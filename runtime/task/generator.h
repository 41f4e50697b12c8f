/*
 * generator.h - what a generator is made of, and what generator.c and reaper.c need of each other.
 *
 * Owns:       struct whorl_generator.
 * Threads:    field by field; `H` is who has moved the word to RUNNING, until he moves it on.
 */
#ifndef WHORL_TASK_GENERATOR_H
#define WHORL_TASK_GENERATOR_H

#include "sched/sched.h"
#include "whorl/generator.h"

/* The word of a generator: where it is (bits 0-1), references (2-31). See generator.c. */
enum whorl__generator_phase {
    WHORL__GENERATOR_NEW,
    WHORL__GENERATOR_WAITING,
    WHORL__GENERATOR_RUNNING,
    WHORL__GENERATOR_OVER,
};

#define WHORL__GENERATOR_PHASE     UINT32_C(3)
#define WHORL__GENERATOR_REFERENCE UINT32_C(4)

struct whorl_generator {
    struct whorl_iterator iterator; /* C; first: it is one */
    uint32_t word;                  /* A: generator.c */
    whorl_body *body;               /* C */
    void *arg;                      /* C */
    void (*arg_free)(void *arg);    /* C */
    size_t stack_bytes;             /* C: 0 = the runtime's default */
    void *runtime;                  /* A: struct whorl__runtime; H writes, when it begins */
    struct whorl__list link;        /* M(generators): begun, or lost, or in none */
    bool listed;                    /* M(generators): begun and not over */
    struct whorl__fiber *fiber;     /* H: the body's */
    struct whorl__fiber *asker;     /* H: who gets the next item */
    void *item;                     /* H: from the body */
    void *sent;                     /* H: to the body, with ... */
    int told;                       /* H: ... what its yield returns */
    int error;                      /* H: what the body returned */
    bool ended;                     /* H: the body has returned */
    bool closing;                   /* H: every yield returns -ESHUTDOWN */
    bool ignored;                   /* H: it has yielded all the same */
    struct whorl_task *closer;      /* by who took it off its list */
    struct whorl_generator *next_taken; /* as closer */
    char name[WHORL_GENERATOR_NAME_MAX + 1]; /* C */
};

/* ---- generator.c ---- */

/* What a fiber's `user` is while it is a generator's: its address with this bit. */
#define WHORL__GENERATOR_TAG ((uintptr_t)1)

static inline bool whorl__generator_owns(const void *user)
{
    return ((uintptr_t)user & WHORL__GENERATOR_TAG) != 0;
}

/* By a fiber whose `user` says so: runs the body, and is switched away from when that has ended. */
void whorl__generator_run(struct whorl__fiber *self);

static inline enum whorl__generator_phase whorl__generator_phase(uint32_t word)
{
    return (enum whorl__generator_phase)(word & WHORL__GENERATOR_PHASE);
}

static inline uint32_t whorl__generator_references(uint32_t word)
{
    return word / WHORL__GENERATOR_REFERENCE;
}

/* The caller is H if it was `from`. Returns what it was. */
enum whorl__generator_phase whorl__generator_claim(struct whorl_generator *generator,
                                                   enum whorl__generator_phase from);
/* H moves it on, and is H no more; its references change by so many. */
void whorl__generator_move_on(struct whorl_generator *generator, enum whorl__generator_phase to,
                              int references);

/* H: its body was never begun, or is never resumed. arg_free is called. */
void whorl__generator_give_up(struct whorl_generator *generator);

/* ---- reaper.c ---- */

void whorl__generators_init(struct whorl__runtime *runtime);

/* A generator begins. False: no more do. */
WHORL_MUST_USE bool whorl__generators_add(struct whorl__runtime *runtime,
                                          struct whorl_generator *generator);
/* H: it does not begin after all, or is over. */
void whorl__generators_remove(struct whorl_generator *generator);

/* H, who has the last reference: a task is to close it. Takes the reference, and H. */
void whorl__generators_lose(struct whorl_generator *generator);

#endif
