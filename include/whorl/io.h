/*
 * io.h - stream sockets and readiness, in POSIX's words; waiting parks the task, not the thread.
 *
 * Descriptors are plain ints that whorl knows: those it made (listen, accept, connect) and those
 * given to whorl_fd_adopt. They are non-blocking and close-on-exec. Close them by whorl_close: it
 * wakes whoever waits on them (-EBADF), and the number is given back to the kernel only after the
 * last call on it has returned, so nobody ever touches a stranger's file.
 *
 * One task may wait to read and one to write at a time; a second one gets -EBUSY.
 * Errors common to all: -EBADF (not one of ours, or closed), -EPERM (not in a task), -ECANCELED,
 * -ETIMEDOUT in the _until forms. A call that has to wait may also say -ENOMEM (no room for the
 * timer of its deadline, or in the kernel) or -ENOSPC (fs.epoll.max_user_watches is used up); it
 * can then be made again. A call that moved some bytes returns their count even if it was
 * then cancelled or timed out; the cancel stays pending for the next wait. No byte is ever lost.
 *
 * A call that finds its descriptor ready does not wait. But a task whose descriptors are ready all
 * the time lets others run: after 64 such calls without a wait the next one gives way once, before
 * it looks (docs/guide/fairness.md).
 *
 * All functions here: From: a task. Thread-safe: yes. Cancellation points only where they really
 * wait or give way. Allocate nothing but a descriptor's record at its first use, and room for
 * timers.
 * Source: runtime/io/socket.c
 */
#ifndef WHORL_IO_H
#define WHORL_IO_H

#include "whorl/api.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

WHORL_BEGIN

enum whorl_listen_flags {
    WHORL_REUSEPORT = 1 /* several listeners on one port, the kernel spreads connections */
};

/*
 * whorl_tcp_listen - listen on a numeric IPv4 or IPv6 address.
 *
 *   address  "127.0.0.1", "::1"; NULL: every IPv4 address, "::": every one. No names
 *   port     0: any free one, see whorl_socket_port
 *   backlog  0: 1024
 *
 * Returns a descriptor, or -EINVAL (bad address or port), -EADDRINUSE, -EACCES, -EMFILE, ...
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a record
 * Model:   asyncio.start_server, without the accepting
 * Since:   0.1, stable                  Source: runtime/io/socket.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_tcp_listen(const char *address, int port, int backlog,
                                                 unsigned flags);

/*
 * whorl_unix_listen - the same on a Unix path; a leading '@' names an abstract one.
 *
 * Makes the file, which must not be there yet (-EADDRINUSE), and removes it again if it then fails.
 * The file of a listener that is closed stays: it is the program's to remove.
 *
 * Returns a descriptor, or -EINVAL (no path), -ENAMETOOLONG, -EADDRINUSE, -EACCES, -ENOENT, ...
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a record
 * Model:   asyncio.start_unix_server, without the accepting
 * Since:   0.1, stable                  Source: runtime/io/socket.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_unix_listen(const char *path, int backlog);

/* The port a socket is bound to, or -errno. */
WHORL_API int whorl_socket_port(int fd);

/*
 * whorl_accept - wait for a connection.
 *
 * Returns its descriptor, -EINVAL or -EOPNOTSUPP (fd does not listen), or another error of the
 * kernel. A connection that was reset before it could be taken is passed over; 64 of them in a row
 * are logged once and cost a pause of 1 ms, so that a filter that refuses every accept is no busy
 * loop. Out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM): logged once, tried again
 * after a pause of 50 ms, so a server only has to loop. An accepted connection is never dropped by
 * a cancel, except when it waits for memory for its record.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes; if somebody is there, it may give way
 * Cancellation point: if it waits or gives way    Allocates: a record
 * Model:   loop.sock_accept
 * Since:   0.1, stable                  Source: runtime/io/socket.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_accept(int fd);
WHORL_API WHORL_WARN_UNUSED int whorl_accept_until(int fd, int64_t deadline_ns);

/*
 * Connect: a descriptor, or -EINVAL (bad address or port), -ECONNREFUSED, -ENETUNREACH, -EMFILE,
 * -ENOMEM, ...; -ETIMEDOUT also when the kernel has given up. Nothing stays open on failure.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes                          Cancellation point: if it waits  Allocates: a record
 * Model:   asyncio.open_connection, numeric addresses
 * Since:   0.1, stable                  Source: runtime/io/socket.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_tcp_connect(const char *address, int port);
WHORL_API WHORL_WARN_UNUSED int whorl_tcp_connect_until(const char *address, int port,
                                                        int64_t deadline_ns);

/*
 * The same to a Unix path; a leading '@' names an abstract one.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   if the backlog is full       Cancellation point: if it waits  Allocates: a record
 * Model:   asyncio.open_unix_connection
 * Since:   0.1, stable                  Source: runtime/io/socket.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_unix_connect(const char *path);
WHORL_API WHORL_WARN_UNUSED int whorl_unix_connect_until(const char *path, int64_t deadline_ns);

/*
 * whorl_read - wait for bytes.
 *
 * Returns how many came (1 .. bytes_max), 0 at the end of the stream, or -ECONNRESET, or another
 * error of the kernel: -ETIMEDOUT, without a deadline, from a connection whose peer is gone.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes; if something is there, it may give way
 * Cancellation point: if it waits or gives way    Allocates: no
 * Model:   StreamReader.read
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_read(int fd, void *ret_bytes, size_t bytes_max);
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_read_until(int fd, void *ret_bytes, size_t bytes_max,
                                                     int64_t deadline_ns);

/*
 * whorl_write - write all of it, waiting for room as needed.
 *
 * Returns count, or fewer if an error, a cancel or the deadline came after some were written: the
 * next call tells which. -EPIPE and -ECONNRESET if the peer is gone; no SIGPIPE.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes; if there is room, it may give way
 * Cancellation point: if it waits or gives way    Allocates: no
 * Model:   StreamWriter.write and drain
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_write(int fd, const void *bytes, size_t count);
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_write_until(int fd, const void *bytes, size_t count,
                                                      int64_t deadline_ns);

/*
 * whorl_writev - the same from several parts (at most 1024); parts is not changed.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes; if there is room, it may give way
 * Cancellation point: if it waits or gives way    Allocates: no
 * Model:   StreamWriter.writelines and drain
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_writev(int fd, const struct iovec *parts, int part_count);
WHORL_API WHORL_WARN_UNUSED ssize_t whorl_writev_until(int fd, const struct iovec *parts,
                                                       int part_count, int64_t deadline_ns);

/*
 * whorl_shutdown - how is SHUT_RD, SHUT_WR or SHUT_RDWR; SHUT_WR is a half-close: reads go on.
 * The _until form is there for symmetry of use: a shutdown never waits.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   StreamWriter.write_eof, for SHUT_WR
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API int whorl_shutdown(int fd, int how);
WHORL_API int whorl_shutdown_until(int fd, int how, int64_t deadline_ns);

/*
 * Close; whoever waits on it gets -EBADF. Does not wait, is no cancellation point. 0 or -EBADF.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: no
 * Model:   StreamWriter.close
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API int whorl_close(int fd);
/*
 * Close so that what was written arrives: half-close, then read and drop what still comes until the
 * peer has closed as well, or until the deadline. 0, -EBADF, -ETIMEDOUT or -ECANCELED; -ENOMEM or
 * -ENOSPC: it could not wait. It is closed in any case but -EBADF.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes                          Cancellation point: yes     Allocates: no
 * Model:   StreamWriter.close and wait_closed
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API int whorl_close_until(int fd, int64_t deadline_ns);

/*
 * whorl_fd_adopt - let whorl look after a descriptor made elsewhere (socket, pipe, eventfd, ...).
 *
 * Makes it non-blocking. From then on it is closed by whorl_close only. Returns 0, -EBADF,
 * -ENOMEM, -EEXIST (adopted already), -EPERM (a regular file, which is always ready), -ENOSPC
 * (fs.epoll.max_user_watches). On failure fd stays the caller's; it may be non-blocking by then.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   no                           Cancellation point: no      Allocates: a record
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_fd_adopt(int fd);

/*
 * whorl_fd_wait - wait until a descriptor is ready.
 *
 *   fd      any descriptor, adopted or not; closing it by close(2) meanwhile does no harm
 *   events  POLLIN or POLLOUT, or both
 *
 * Returns the events that are ready (POLLIN, POLLOUT, POLLHUP, POLLERR), a hint as poll(2) gives
 * it, or -EBADF, -EINVAL, -EPERM (a regular file), -ECANCELED, -ETIMEDOUT, -ENOMEM; -EMFILE for a
 * number that was not adopted: it is watched through a duplicate.
 *
 * From:    a task                       Thread-safe: yes
 * Waits:   yes; if it is ready, it may give way
 * Cancellation point: if it waits or gives way    Allocates: no
 * Model:   loop.add_reader, as a wait
 * Since:   0.1, stable                  Source: runtime/io/stream.c
 */
WHORL_API WHORL_WARN_UNUSED int whorl_fd_wait(int fd, int events);
WHORL_API WHORL_WARN_UNUSED int whorl_fd_wait_until(int fd, int events, int64_t deadline_ns);

/* The loop whose poller watches fd now, -EAGAIN if none does yet, -EBADF. A hint, for figures. */
WHORL_API int whorl_fd_loop(int fd);

WHORL_END

#endif
