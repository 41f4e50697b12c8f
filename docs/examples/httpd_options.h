/*
 * httpd_options.h - the command line of httpd.c.
 *
 * Owns:       nothing; texts point into argv.
 * Threads:    main's, before any other.
 */
#ifndef HTTPD_OPTIONS_H
#define HTTPD_OPTIONS_H

#include <whorl.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *root, *address;
    int port;
    bool bench;
    int64_t idle_timeout_ns;   /* for the first byte of a request */
    int64_t header_timeout_ns; /* for all of it from there */
    struct whorl_options runtime;
};

static const char options_help[] =
    "usage: httpd [OPTION]...\n"
    "Serves the files of a folder by HTTP/1.1 until SIGTERM or SIGINT.\n"
    "\n"
    "  --root DIR           the folder (.)\n"
    "  --address A          numeric IPv4 or IPv6 address (127.0.0.1)\n"
    "  --port N             0: any free one (8080)\n"
    "  --loops N            event loops; 0: one for each core (0)\n"
    "  --mode MODE          single, isolated or stealing (single for one loop, else stealing)\n"
    "  --idle-timeout S     seconds until a connection without a request is closed (60)\n"
    "  --header-timeout S   seconds a request may take to arrive (10)\n"
    "  --no-pin             do not pin the loops to cores\n"
    "  --stall-us N         microseconds until others serve the sockets of a busy loop (2000)\n"
    "  --bench              answer /-/work?units=N, /-/stall?ms=N, /-/loop and /-/stats\n"
    "  --help               this text\n";

static void __attribute__((noreturn, format(printf, 1, 2))) give_up(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("httpd: ", stderr);
    vfprintf(stderr, format, values);
    fputc('\n', stderr);
    va_end(values);
    exit(2);
}

static int parse_number(const char *name, const char *text, int min, int max)
{
    char *end;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (errno || end == text || *end || number < min || number > max) {
        give_up("--%s wants a number from %d to %d, not '%s'", name, min, max, text);
    }
    return (int)number;
}

static enum whorl_mode parse_mode(const char *text)
{
    if (strcmp(text, "single") == 0) {
        return WHORL_MODE_SINGLE;
    }
    if (strcmp(text, "isolated") == 0) {
        return WHORL_MODE_ISOLATED;
    }
    if (strcmp(text, "stealing") == 0) {
        return WHORL_MODE_STEALING;
    }
    give_up("--mode is single, isolated or stealing, not '%s'", text);
}

static void parse_option(char key, const char *name, const char *value, struct options *options)
{
    const int day_s = 24 * 60 * 60;
    switch (key) {
    case 'r':
        options->root = value;
        break;
    case 'a':
        options->address = value;
        break;
    case 'p':
        options->port = parse_number(name, value, 0, 65535);
        break;
    case 'l':
        options->runtime.loops = parse_number(name, value, 0, WHORL_LOOPS_MAX);
        break;
    case 'm':
        options->runtime.mode = parse_mode(value);
        break;
    case 'i':
        options->idle_timeout_ns = parse_number(name, value, 1, day_s) * WHORL_SECOND;
        break;
    case 't':
        options->header_timeout_ns = parse_number(name, value, 1, day_s) * WHORL_SECOND;
        break;
    case 'n':
        options->runtime.no_pin = 1;
        break;
    case 's':
        options->runtime.stall_ns = parse_number(name, value, 1, INT_MAX) * WHORL_MICROSECOND;
        break;
    case 'b':
        options->bench = true;
        break;
    case 'h':
        fputs(options_help, stdout);
        exit(0);
    default: /* getopt_long has said what is wrong */
        give_up("try --help");
    }
}

/* Ends the program if the command line is not one of ours. */
static void options_parse(int argc, char **argv, struct options *ret_options)
{
    static const struct option names[] = {
        {"root", required_argument, NULL, 'r'},
        {"address", required_argument, NULL, 'a'},
        {"port", required_argument, NULL, 'p'},
        {"loops", required_argument, NULL, 'l'},
        {"mode", required_argument, NULL, 'm'},
        {"idle-timeout", required_argument, NULL, 'i'},
        {"header-timeout", required_argument, NULL, 't'},
        {"no-pin", no_argument, NULL, 'n'},
        {"stall-us", required_argument, NULL, 's'},
        {"bench", no_argument, NULL, 'b'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *ret_options = (struct options){
        .root = ".",
        .address = "127.0.0.1",
        .port = 8080,
        .idle_timeout_ns = 60 * WHORL_SECOND,
        .header_timeout_ns = 10 * WHORL_SECOND,
    };
    int key, index = 0;
    while ((key = getopt_long(argc, argv, "", names, &index)) != -1) {
        parse_option((char)key, names[index].name, optarg, ret_options);
    }
    if (optind < argc) {
        give_up("'%s' is not an option; try --help", argv[optind]);
    }
    struct whorl_options *runtime = &ret_options->runtime;
    if (runtime->mode == WHORL_MODE_SINGLE && runtime->loops > 1) {
        give_up("--mode single means one loop, not --loops %d", runtime->loops);
    }
    if (runtime->mode == WHORL_MODE_SINGLE) {
        runtime->loops = 1;
    }
}

#endif
