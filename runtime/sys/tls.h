/*
 * tls.h - the only readers and writers of thread-locals, errno among them.
 *
 * Owns:       which worker the calling thread is, where its context is, and at which work of an
 *             executor it is.
 * Threads:    each sees its own.
 * Invariant:  every call reads the thread-local of the thread it runs on, even when the same
 *             function called before on another thread: a task may wake up elsewhere.
 * Not chosen: plain _Thread_local access. Compilers keep the address of a thread-local across a
 *             call, and a call that suspends returns on another thread.
 */
#ifndef WHORL_SYS_TLS_H
#define WHORL_SYS_TLS_H

struct whorl__worker;

/* The calling thread's worker; NULL on a thread that drives no loop. Not to be kept over a wait. */
struct whorl__worker *whorl__tls_worker(void);
void whorl__tls_set_worker(struct whorl__worker *worker);

/* Of a thread that drives no loop: where the word of the context stands that it is in, or NULL. */
void **whorl__tls_context_at(void);
void whorl__tls_set_context_at(void **at);

/* What a thread of an executor is at: struct whorl__work; NULL on every other thread. */
void *whorl__tls_work(void);
void whorl__tls_set_work(void *work);

/* Where the calling thread's errno lies: for a loop, which knows whose thread it is on. */
int *whorl__tls_errno_at(void);

/* The calling thread's errno: saved before a task leaves its thread, put back where it resumes. */
int whorl__tls_errno(void);
void whorl__tls_set_errno(int value);

#endif
