/*
 * programs.h - what test_service and test_stop have fail: programs that use every call of whorl.
 *
 * Each is a set of roles that talk to each other. In service a role runs at once; in shut-down it
 * first waits to be cancelled, and then is clean-up.
 */
#ifndef WHORL_TESTS_FAULTS_PROGRAMS_H
#define WHORL_TESTS_FAULTS_PROGRAMS_H

#include "support/trial.h"

#define ROLES_MAX 3

struct cast {
    void (*open)(void); /* makes what the roles share; they close it */
    struct role {
        whorl_body *body; /* NULL: no more */
        int pin;
    } roles[ROLES_MAX];
};

/* Runs all roles, each as a task of its own, until they have ended. In a task. */
void play_cast(const struct cast *cast);
/* Begins them, and leaves them waiting for their cancel. In a task, which may then return. */
void leave_cast(const struct cast *cast);

/* program_streams.c */
extern const struct cast tcp_cast;   /* a server, a client with two connections */
extern const struct cast unix_cast;  /* more bytes than the socket has room for */
extern const struct cast pipe_cast;  /* a pipe, and readiness of a number whorl does not know */
extern const struct cast moved_cast; /* a socket whose reader is on another loop: two at least */

/* program_tasks.c */
int timers_program(void *arg);
int futures_program(void *arg);
int threads_program(void *arg);
int crowd_program(void *arg);
int stuck_program(void *arg);

/* program_sync.c */
int sync_program(void *arg);

#endif
