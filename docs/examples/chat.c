/*
 * chat.c - people in rooms; written for one loop, run on all: docs/guide/porting.md
 *
 *     chat [PORT [LOOPS]]      0: any port, which it says; all cores
 *
 *     /nick NAME   /join ROOM   /leave   /who   /quit   all else is said to the room
 */
#include <errno.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <whorl.h>

enum { NAME_MAX_BYTES = 32, LINE_MAX_BYTES = 512, OUTBOX_LINES = 256 };

struct room {
    char name[NAME_MAX_BYTES]; /* first: what the map compares */
    struct client *members;
    unsigned said; /* lines so far: each has its number */
};

struct client {
    char name[NAME_MAX_BYTES]; /* first: what the map compares; "" before /nick */
    int fd;
    struct whorl_task *task;
    struct whorl_queue outbox;
    struct room *room;
    struct client *next; /* in the room */
};

/* What all share, plainly. Nobody else runs between two waits. */
static void *names;
static void *rooms;

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* ---- lines to people; nothing here waits ---- */

/* Who does not read what he is sent is shown the door. */
static void deliver(struct client *client, const char *line)
{
    char *const copy = strdup(line);
    if (copy == NULL || whorl_queue_try_put(&client->outbox, copy) != 0) {
        free(copy);
        (void)whorl_cancel(client->task, "too slow");
    }
}

static void tell(struct client *client, const char *what, const char *whom)
{
    char line[LINE_MAX_BYTES];
    snprintf(line, sizeof line, "* %s%s\n", what, whom);
    deliver(client, line);
}

/* Everybody in the room gets it, as its next line. */
static void say(struct room *room, const char *who, const char *what)
{
    char line[LINE_MAX_BYTES + 2 * NAME_MAX_BYTES + 16];
    snprintf(line, sizeof line, "%s %u %s %s\n", room->name, ++room->said, who, what);
    for (struct client *client = room->members; client != NULL; client = client->next) {
        deliver(client, line);
    }
}

/* ---- who is where ---- */

static void leave(struct client *client)
{
    struct room *const room = client->room;
    if (room == NULL) {
        return;
    }
    struct client **place = &room->members;
    while (*place != client) {
        place = &(*place)->next;
    }
    *place = client->next;
    client->room = NULL;
    say(room, client->name, "has left");
    if (room->members == NULL) {
        (void)tdelete(room, &rooms, compare);
        free(room);
    }
}

static struct room *find_room(const char *name)
{
    struct room **const found = tfind(name, &rooms, compare);
    if (found != NULL) {
        return *found;
    }
    struct room *const room = calloc(1, sizeof *room);
    if (room != NULL) {
        snprintf(room->name, sizeof room->name, "%s", name);
    }
    if (room != NULL && tsearch(room, &rooms, compare) == NULL) {
        free(room);
        return NULL;
    }
    return room;
}

static void join(struct client *client, const char *name)
{
    if (client->name[0] == '\0') {
        tell(client, "who are you? /nick NAME", "");
        return;
    }
    leave(client);
    struct room *const room = find_room(name);
    if (room == NULL) {
        tell(client, "there is no room", "");
        return;
    }
    client->room = room;
    client->next = room->members;
    room->members = client;
    say(room, client->name, "has joined");
}

static void forget_name(struct client *client)
{
    if (client->name[0] != '\0') {
        (void)tdelete(client, &names, compare);
        client->name[0] = '\0';
    }
}

static void rename_client(struct client *client, const char *name)
{
    if (client->room != NULL || tfind(name, &names, compare) != NULL) {
        tell(client, client->room != NULL ? "not in a room" : "taken: ", name);
        return;
    }
    forget_name(client);
    snprintf(client->name, sizeof client->name, "%s", name);
    if (tsearch(client, &names, compare) == NULL) {
        client->name[0] = '\0';
    }
    tell(client, "you are ", client->name);
}

static void who(struct client *client)
{
    for (struct client *other = client->room ? client->room->members : NULL; other != NULL;
         other = other->next) {
        tell(client, "here is ", other->name);
    }
    tell(client, "that is all", "");
}

/* ---- a connection ---- */

static bool is_name(const char *name)
{
    const size_t length = strlen(name);
    return length > 0 && length < NAME_MAX_BYTES && strchr(name, ' ') == NULL;
}

/* False: that was it. */
static bool obey(struct client *client, const char *line)
{
    if (strncmp(line, "/nick ", 6) == 0 && is_name(line + 6)) {
        rename_client(client, line + 6);
    } else if (strncmp(line, "/join ", 6) == 0 && is_name(line + 6)) {
        join(client, line + 6);
    } else if (strcmp(line, "/leave") == 0) {
        leave(client);
        tell(client, "you are out", "");
    } else if (strcmp(line, "/who") == 0) {
        who(client);
    } else if (line[0] == '/' || client->room == NULL) {
        tell(client, "what?", "");
    } else {
        say(client->room, client->name, line);
    }
    return strcmp(line, "/quit") != 0;
}

/* Whole lines are obeyed, and the rest moved to the front. False: that was it. */
static bool obey_all(struct client *client, char *bytes, size_t *count)
{
    char *line = bytes;
    char *end;
    bool goes_on = true;
    bytes[*count] = '\0';
    while (goes_on && (end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        goes_on = obey(client, line);
        line = end + 1;
    }
    *count = strlen(line);
    memmove(bytes, line, *count);
    return goes_on && *count < LINE_MAX_BYTES - 1;
}

static int write_lines(void *arg)
{
    struct client *const client = arg;
    void *line;
    int error;
    while ((error = whorl_queue_get(&client->outbox, &line)) == 0) {
        const ssize_t written = whorl_write(client->fd, line, strlen(line));
        free(line);
        if (written < 0) {
            return (int)written;
        }
    }
    return error;
}

static void read_lines(struct client *client)
{
    char bytes[LINE_MAX_BYTES];
    size_t count = 0;
    ssize_t got;
    do {
        got = whorl_read(client->fd, bytes + count, sizeof bytes - 1 - count);
        count += got > 0 ? (size_t)got : 0;
    } while (got > 0 && obey_all(client, bytes, &count));
}

static int talk(void *arg)
{
    struct client *const client = arg;
    struct whorl_task *writer;
    const struct whorl_attr quiet = {.flags = WHORL_QUIET};
    client->task = whorl_task_current();
    if (whorl_spawn(write_lines, client, &quiet, &writer) == 0) {
        read_lines(client);
        leave(client); /* from here on nobody sends him anything */
        forget_name(client);
        (void)whorl_queue_shutdown(&client->outbox, false);
        (void)whorl_wait_for(writer, WHORL_SECOND, NULL); /* what he has been sent already */
        whorl_task_unref(writer);
    }
    return 0;
}

static void hang_up(void *arg)
{
    struct client *const client = arg;
    (void)whorl_close(client->fd);
    if (whorl_queue_destroy(&client->outbox) == 0) { /* nobody waits there: the writer has ended */
        free(client);
    }
}

static int welcome(struct whorl_group *group, int fd)
{
    struct client *const client = malloc(sizeof *client);
    if (client == NULL) {
        return whorl_close(fd);
    }
    *client = (struct client){.fd = fd, .outbox = WHORL_QUEUE_INIT(OUTBOX_LINES)};
    client->outbox.item_free = free;
    const struct whorl_attr attr = {.arg_free = hang_up};
    const int error = whorl_group_spawn(group, talk, client, &attr, NULL);
    if (error != 0) {
        hang_up(client);
    }
    return error;
}

static int serve(void *arg)
{
    struct whorl_group group;
    int fd, error;
    const int listener = whorl_tcp_listen("127.0.0.1", *(int *)arg, 0, 0);
    if (listener < 0) {
        return listener;
    }
    printf("port %d\n", whorl_socket_port(listener));
    (void)fflush(stdout);
    if ((error = whorl_group_begin(&group)) == 0) {
        while ((fd = whorl_accept(listener)) >= 0 && (error = welcome(&group, fd)) == 0) {
        }
        error = whorl_group_end(&group, fd < 0 ? fd : error, NULL);
    }
    (void)whorl_close(listener);
    return error;
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 7001;
    const struct whorl_options options = {
        .loops = argc > 2 ? atoi(argv[2]) : 0,
        .flags = WHORL_STRANDED, /* the line that lets it run on many loops */
        .handle_sigint = 1,
    };
    const int error = whorl_run(serve, &port, &options);
    if (error != 0 && error != -EINTR) {
        fprintf(stderr, "chat: %s\n", whorl_error_text(error));
    }
    return error != 0 && error != -EINTR;
}
