/*
 * kernel.h - the part of Linux that whorl's loops sleep in: eventfd, epoll, stream sockets.
 *
 * Owns:       struct kernel: the descriptors of one execution. It lies in the model's state.
 * Threads:    any model thread. Every call is atomic, and takes effect at one moment.
 * Order:      each object has a lock word, and a call that touches an object adds to it: acquire
 *             and release, as the kernel's own spin lock around the object's list of waiters. So
 *             two calls on one object are ordered, and what a thread did before a write is seen by
 *             whoever that write wakes. It is no full fence: Linux promises none for a system call,
 *             and two calls on different objects order nothing between other threads.
 *             Numbers are given out and back under one lock, as Linux does it (files->file_lock).
 *
 * What is here is what whorl relies on:
 *
 *   epoll, edge-triggered   a change of a file (bytes come, an eventfd is written, the peer goes)
 *                           puts its item on the ready list of each epoll that has it. A wait
 *                           takes items off, asks each file for its level now, and reports what
 *                           is set; an item whose level is gone is dropped without a word. An edge
 *                           is handed to one wait, whoever comes first; another thread's wait sees
 *                           nothing.
 *   epoll, level-triggered  the same, but an item that was reported goes back on the list.
 *   ADD                     reports the level there is. -EEXIST if it is there already.
 *   epoll inside epoll      readable while its ready list has an item whose level is set. A circle
 *                           of two is refused with -ELOOP.
 *   close                   removes the file's items everywhere; the lowest free number is used
 *                           next.
 *
 *   deadlines               who waits with one lets others go first, and then it is that late
 *
 * Not here:   several descriptors of one file (dup), EPOLLONESHOT, EPOLLEXCLUSIVE, full send
 *             buffers (a socket is always writable).
 */
#ifndef WHORL_TESTS_MODEL_KERNEL_H
#define WHORL_TESTS_MODEL_KERNEL_H

#include "base/compiler.h"
#include "sys/os.h"

#include <stdbool.h>

#define KERNEL_FILES   10
#define KERNEL_ITEMS   16
#define KERNEL_THREADS 6
#define KERNEL_FD_BASE 3
#define KERNEL_LIVES   4 /* times that a number is used */

enum kernel_kind { KERNEL_FREE, KERNEL_EVENTFD, KERNEL_EPOLL, KERNEL_STREAM };

struct kernel_file {
    uint32_t locks[KERNEL_LIVES]; /* A: of each life: one up with each call that touches the file */
    enum kernel_kind kind;
    unsigned life;  /* how many files have had this place */
    unsigned bytes; /* a stream: not read yet; an eventfd: what was written */
    bool peer_gone; /* a stream: nothing comes any more */
};

/* A file in an epoll. */
struct kernel_item {
    bool used;
    bool ready;     /* on the ready list */
    unsigned since; /* its place there */
    int epoll;      /* numbers of the two files */
    int file;
    uint32_t events;
    uint64_t data;
};

/* A thread that the library has started. */
struct kernel_thread {
    void *(*body)(void *arg);
    void *arg;
    uint32_t lock; /* A */
    bool started;
    bool ended;
};

struct kernel {
    uint32_t numbers; /* A: the lock of the table of descriptors: who gets a number comes after who
                         gave it back */
    struct kernel_file files[KERNEL_FILES]; /* a descriptor is KERNEL_FD_BASE + its place */
    struct kernel_item items[KERNEL_ITEMS];
    struct kernel_thread threads[KERNEL_THREADS];
    unsigned ready_count; /* items that ever became ready */
    unsigned threads_first;   /* the model's thread that the library starts first: 1 */
    unsigned threads_started;
    unsigned threads_max;     /* more are refused with -EAGAIN */
    bool closed_to_threads;
    unsigned maps; /* mappings that are there */
    unsigned ended_at_once[KERNEL_THREADS]; /* waits in a row that did not have to wait */
};

/* Puts the kernel under the library for this execution: in setup, before anything else. */
void kernel_begin(struct kernel *kernel);

/* In finish: that no descriptor and no mapping is left. */
void kernel_end(struct kernel *kernel);

/* A new stream socket whose peer the model plays: its descriptor. */
int kernel_open_stream(void);

/* In how many epolls a descriptor is. */
unsigned kernel_watchers_of(int fd);

/* Names the file behind a descriptor for as long as it is open. */
unsigned kernel_file_of(int fd);

/* The peer: sends one byte, or goes. On the file, not the number, which may be another's by now;
 * false if the file is closed. */
bool kernel_peer_send(unsigned file);
bool kernel_peer_leave(unsigned file);

/* What a model's thread runs that waits for the library to start it: nothing if all threads of the
 * library are gone first. */
void kernel_run_thread(unsigned thread);
void kernel_no_more_threads(void);

#endif
