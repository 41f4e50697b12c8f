/*
 * json.h - the one form in which every program here writes its figures.
 *
 * One line, one JSON object, one figure:
 *
 *   {"bench":"yield","load":"1000 tasks","mode":"single","loops":1,
 *    "metric":"yield","value":31.4,"unit":"ns"}           (in one line)
 *
 *   bench   the program
 *   load    what it was made to do
 *   mode    who did it: single, isolated, stealing; or the yardstick's name
 *   loops   how many loops did it
 *   metric  what was measured, value the number, unit its unit
 *
 * Owns:       the open file.
 * Threads:    one.
 * Not chosen: one object for a whole run; lines can be appended, cut and joined with any tool.
 */
#ifndef WHORL_BENCH_JSON_H
#define WHORL_BENCH_JSON_H

#include <errno.h>
#include <math.h>
#include <stdio.h>

/* The first four keys, which a run of figures has in common. */
struct json_place {
    const char *bench;
    const char *load;
    const char *mode;
    int loops;
};

struct json {
    FILE *file; /* NULL: nobody asked for figures */
};

/* path NULL opens nothing, and the calls below do nothing. 0 or -errno. */
static inline int json_open(struct json *json, const char *path)
{
    json->file = NULL;
    if (!path) {
        return 0;
    }
    json->file = fopen(path, "we");
    return json->file ? 0 : -errno;
}

static inline void json_string(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', file);
        }
        if ((unsigned char)*text >= 0x20) { /* no control character has a place in a name */
            fputc(*text, file);
        }
    }
    fputc('"', file);
}

static inline void json_figure(struct json *json, const struct json_place *place,
                               const char *metric, double value, const char *unit)
{
    if (!json->file) {
        return;
    }
    fputs("{\"bench\":", json->file);
    json_string(json->file, place->bench);
    fputs(",\"load\":", json->file);
    json_string(json->file, place->load);
    fputs(",\"mode\":", json->file);
    json_string(json->file, place->mode);
    fprintf(json->file, ",\"loops\":%d,\"metric\":", place->loops);
    json_string(json->file, metric);
    if (isfinite(value)) {
        fprintf(json->file, ",\"value\":%.10g,\"unit\":", value);
    } else {
        fputs(",\"value\":null,\"unit\":", json->file); /* JSON has no infinity */
    }
    json_string(json->file, unit);
    fputs("}\n", json->file);
}

/* 0, or -EIO if a line was lost, for example because the disk is full. */
static inline int json_close(struct json *json)
{
    if (!json->file) {
        return 0;
    }
    const int lost = ferror(json->file);
    const int failed = fclose(json->file);
    json->file = NULL;
    return lost || failed ? -EIO : 0;
}

#endif
