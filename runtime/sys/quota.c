/*
 * quota.c - reads the CPU quota from the control groups' files.
 *
 * Neither the affinity mask nor hwloc knows about it: in a container limited to two processors on
 * a machine of 64, both say 64.
 *
 *   /proc/self/cgroup      "4:cpu,cpuacct:/box" (v1)   "0::/box" (v2)      which group we are in
 *   /proc/self/mountinfo   "... /box /sys/fs/cgroup ... - cgroup2 ..."     where it can be seen
 *   <folder>/cpu.max                                "150000 100000"        the limit (v2)
 *   <folder>/cpu.cfs_quota_us, cpu.cfs_period_us    "150000", "100000"     the limit (v1)
 *
 * A group's limit holds for all below it, so the walk goes from our folder up to the mount point.
 * In a hybrid system the cpu controller may sit on either side: both are walked.
 *
 * Threads:    any; keeps no state.
 * Invariant:  a file that is not there sets no limit.
 * Not chosen: guessing a folder when a mount does not show our group (it was made in another
 *             cgroup namespace): the limits found there may be somebody else's.
 */
#include "sys/quota.h"

#include "base/assert.h"
#include "sys/os.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hosts of many containers have thousands of mounts. */
enum { TEXT_MAX = 1024 * 1024, NUMBER_MAX = 64 };

/* What one line of mountinfo tells about a mounted control group hierarchy. */
struct mount {
    const char *root;  /* the group that is seen at the mount point */
    const char *point; /* without the test's root before it */
    bool is_v2;
};

/* A reader's work: where to look, and the smallest limit so far. */
struct search {
    const char *root;
    int cpus;
};

/* Like read_file, with the text cleared where there is no such file. */
static int read_if_present(const struct search *search, const char *folder, const char *name,
                           char *ret_text, size_t text_max)
{
    char path[PATH_MAX];
    const int length = snprintf(path, sizeof path, "%s%s/%s", search->root, folder, name);
    if (length < 0 || (size_t)length >= sizeof path) {
        return -ENAMETOOLONG;
    }
    const int error = whorl__os->read_file(path, ret_text, text_max);
    if (error == -ENOENT || error == -ENOTDIR) {
        ret_text[0] = '\0';
        return 0;
    }
    return error < 0 ? error : 0;
}

/* ---- the numbers ---- */

static int note_limit(struct search *search, int64_t quota, int64_t period)
{
    if (quota <= 0) {
        return 0; /* v1 writes -1 for no limit */
    }
    if (period <= 0) {
        return -EINVAL;
    }
    const int64_t cpus = quota / period + (quota % period != 0);
    if (cpus < search->cpus) {
        search->cpus = (int)cpus;
    }
    WHORL_ASSERT(search->cpus >= 1);
    return 0;
}

static int parse_number(const char *text, int64_t *ret_number, const char **ret_rest)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0) {
        return -EINVAL;
    }
    *ret_number = number;
    *ret_rest = end;
    return 0;
}

/* The text is "QUOTA PERIOD", or "max PERIOD", or empty where the files are not there. */
static int parse_limit(struct search *search, const char *text)
{
    if (text[0] == '\0' || strncmp(text, "max", 3) == 0) {
        return 0;
    }
    int64_t quota, period;
    const char *rest;
    int error = parse_number(text, &quota, &rest);
    if (!error) {
        error = parse_number(rest, &period, &rest);
    }
    return error ? error : note_limit(search, quota, period);
}

static int read_limit(struct search *search, const char *folder, bool is_v2)
{
    char text[2 * NUMBER_MAX];
    const char *quota_file = is_v2 ? "cpu.max" : "cpu.cfs_quota_us";
    int error = read_if_present(search, folder, quota_file, text, NUMBER_MAX);
    if (!error && !is_v2 && text[0] != '\0') {
        char *end = text + strlen(text);
        error = read_if_present(search, folder, "cpu.cfs_period_us", end, NUMBER_MAX);
    }
    return error ? error : parse_limit(search, text);
}

/* ---- the walk ---- */

/* The part of `group` below `root`, "" for root itself; NULL where it is not below. */
static const char *path_below(const char *root, const char *group)
{
    if (strcmp(root, "/") == 0) {
        root = "";
    }
    if (strcmp(group, "/") == 0) {
        group = "";
    }
    const size_t length = strlen(root);
    if (strncmp(group, root, length) != 0 || (group[length] != '/' && group[length] != '\0')) {
        return NULL;
    }
    return group + length;
}

static int walk_up(struct search *search, const struct mount *mount, const char *group)
{
    const char *below = path_below(mount->root, group);
    if (!below) {
        return 0;
    }
    char folder[PATH_MAX];
    const int length = snprintf(folder, sizeof folder, "%s%s", mount->point, below);
    if (length < 0 || (size_t)length >= sizeof folder) {
        return -ENAMETOOLONG;
    }
    const size_t point_length = strlen(mount->point);
    for (;;) {
        const int error = read_limit(search, folder, mount->is_v2);
        if (error || strlen(folder) <= point_length) {
            return error;
        }
        *strrchr(folder, '/') = '\0'; /* there is one: `below` begins with it */
    }
}

/* ---- the two tables of /proc ---- */

/* Whether `word` is one of the words that commas separate in `list`. */
static bool list_has(const char *list, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, length) == 0 && (at[length] == ',' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

/* mountinfo writes a space as \040, and so on. Shrinks in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; ++to) {
        const bool is_octal = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
        if (is_octal) {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
        } else {
            *to = *from;
        }
        from += is_octal ? 4 : 1;
    }
    *to = '\0';
}

/*
 * Reads "31 23 0:28 ROOT POINT rw,relatime shared:5 - TYPE source OPTIONS"; the number of words
 * before the dash varies. False for what is not a hierarchy that may hold our cpu controller.
 */
static bool parse_mount(char *line, struct mount *ret_mount)
{
    char *type = strstr(line, " - ");
    if (!type) {
        return false;
    }
    *type = '\0';
    type += strlen(" - ");
    char *save = NULL, *root = NULL, *point = NULL;
    int field = 0;
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        ++field;
        root = field == 4 ? word : root;
        point = field == 5 ? word : point;
    }
    type = strtok_r(type, " ", &save);
    const char *source = strtok_r(NULL, " ", &save);
    const char *options = strtok_r(NULL, " ", &save);
    if (!point || !source || !options) {
        return false;
    }
    const bool is_v2 = strcmp(type, "cgroup2") == 0;
    if (!is_v2 && !(strcmp(type, "cgroup") == 0 && list_has(options, "cpu"))) {
        return false;
    }
    unescape(root);
    unescape(point);
    *ret_mount = (struct mount){.root = root, .point = point, .is_v2 = is_v2};
    return true;
}

/* Finds our group in the text of /proc/self/cgroup, which is cut up; NULL where it has none. */
static const char *find_group(char *table, bool is_v2)
{
    char *save = NULL;
    for (char *line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) {
            continue;
        }
        *group++ = '\0';
        ++controllers;
        if (is_v2 ? controllers[0] == '\0' : list_has(controllers, "cpu")) {
            return group;
        }
    }
    return NULL;
}

/* Our place in the hierarchy of one kind, copied out because finding it cuts the table up. */
static int read_group(const struct search *search, bool is_v2, char *scratch, char *ret_group)
{
    const int error = read_if_present(search, "/proc/self", "cgroup", scratch, TEXT_MAX);
    if (error) {
        return error;
    }
    const char *group = find_group(scratch, is_v2);
    const int length = snprintf(ret_group, PATH_MAX, "%s", group ? group : "");
    return length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int search_mounts(struct search *search, char *scratch)
{
    char group_v1[PATH_MAX], group_v2[PATH_MAX];
    int error = read_group(search, false, scratch, group_v1);
    if (!error) {
        error = read_group(search, true, scratch, group_v2);
    }
    if (!error) {
        error = read_if_present(search, "/proc/self", "mountinfo", scratch, TEXT_MAX);
    }
    char *rest = scratch;
    while (!error && rest && *rest) {
        char *line = strsep(&rest, "\n");
        struct mount mount;
        if (parse_mount(line, &mount)) {
            const char *group = mount.is_v2 ? group_v2 : group_v1;
            error = group[0] == '/' ? walk_up(search, &mount, group) : 0;
        }
    }
    return error;
}

int whorl__quota_cpus(const char *root, int *ret_cpus)
{
    char *scratch = whorl__os->alloc(TEXT_MAX);
    if (!scratch) {
        return -ENOMEM;
    }
    struct search search = {.root = root ? root : "", .cpus = INT_MAX};
    const int error = search_mounts(&search, scratch);
    whorl__os->free(scratch);
    if (!error) {
        *ret_cpus = search.cpus;
    }
    return error;
}
