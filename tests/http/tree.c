/*
 * tree.c - makes a folder to serve: sizes and names that are easy to get wrong.
 *
 *   tree SEED COUNT    makes COUNT files below the working folder, the same for the same seed.
 *                      Prints a line for each: its path percent-encoded, a tab, its path.
 *
 * Threads:    one.
 * Invariant:  no two files have one path: each name carries the file's number.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void __attribute__((noreturn)) fail(const char *path)
{
    fprintf(stderr, "tree: %s: %s\n", path, strerror(errno));
    exit(1);
}

static uint64_t state;

static uint32_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static size_t choose_size(int number)
{
    static const size_t edges[] = {0,     1,      511,    4095,   4096,
                                   4097,  16383,  16384,  65535,  65536,
                                   65537, 131071, 131072, 131073, 3 * 1024 * 1024};
    const size_t edge_count = sizeof edges / sizeof *edges;
    if ((size_t)number < edge_count) {
        return edges[number];
    }
    const uint32_t zeros = 12 + random_word() % 20; /* each power of two as often as the next */
    return random_word() >> zeros;
}

static void choose_path(int number, char *ret_path, size_t path_bytes)
{
    static const char *const folders[] = {"",
                                          "deep/er/and/deep/er/still/",
                                          "a b/",
                                          "100%/",
                                          "\xc3\xa4/\xe2\x82\xac/",
                                          "x+y&z=1/",
                                          "#?/",
                                          "...a/"};
    static const char *const names[] = {
        "plain",  "with space", "per%cent", "per%20cent", "plus+plus", "\xf0\x9f\x8c\x80",
        "que?ry", "ha#sh",      "..dots..", "semi;colon", "quo'te\"s", "back\\slash"};
    static const char *const suffixes[] = {".html", ".txt", "", ".png", ".JS", ".tar.gz"};
    const char *folder = folders[random_word() % (sizeof folders / sizeof *folders)];
    const char *name = names[random_word() % (sizeof names / sizeof *names)];
    const char *suffix = suffixes[random_word() % (sizeof suffixes / sizeof *suffixes)];
    snprintf(ret_path, path_bytes, "%s%s-%d%s", folder, name, number, suffix);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST) {
            fail(path);
        }
        *slash = '/';
    }
}

static void fill(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "w");
    if (!file) {
        fail(path);
    }
    for (size_t i = 0; i < bytes; i++) {
        putc_unlocked((int)(random_word() & 0xff), file);
    }
    if (fclose(file) != 0) {
        fail(path);
    }
}

static void print_encoded(const char *path)
{
    for (; *path; path++) {
        const bool plain = strchr("/-._~", *path) || (*path >= '0' && *path <= '9') ||
                           ((*path | 0x20) >= 'a' && (*path | 0x20) <= 'z');
        printf(plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: tree SEED COUNT\n", stderr);
        return 2;
    }
    const int count = atoi(argv[2]);
    state = 0x9e3779b97f4a7c15 ^ strtoull(argv[1], NULL, 10);
    for (int i = 0; i < count; i++) {
        char path[256];
        choose_path(i, path, sizeof path);
        make_folders(path);
        fill(path, choose_size(i));
        print_encoded(path);
        printf("\t%s\n", path);
    }
    return 0;
}
