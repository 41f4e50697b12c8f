/*
 * program_read.c - from a program's text to its steps. The language is in program_language.h.
 */
#include "differential/program_language.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct program *program;
    char *rest;         /* of the text, from the next line on */
    char line[160];     /* the present one, as it stood */
    char *words[WORDS_MAX + 1];
    unsigned count;
    bool wrong;
};

static bool refuse(struct reader *reader, const char *why)
{
    if (!reader->wrong) {
        fprintf(stderr, "differential: %s: %s\n", why, reader->line);
    }
    reader->wrong = true;
    return false;
}

/* The next line that is not empty, cut into words; false: there is none. */
static bool next_line(struct reader *reader)
{
    do {
        char *const line = strsep(&reader->rest, "\n");
        char *save = NULL;
        if (line == NULL) {
            return false;
        }
        reader->count = 0;
        snprintf(reader->line, sizeof reader->line, "%s", line + strspn(line, " "));
        for (char *word = strtok_r(line, " ", &save); word != NULL && reader->count <= WORDS_MAX;
             word = strtok_r(NULL, " ", &save)) {
            reader->words[reader->count++] = word;
        }
    } while (reader->count == 0);
    return true;
}

static struct object *find_object(struct reader *reader, const char *name)
{
    struct program *const program = reader->program;
    for (unsigned i = 0; i < program->object_count; i++) {
        if (strcmp(program->objects[i].name, name) == 0) {
            return &program->objects[i];
        }
    }
    if (program->object_count == OBJECTS_MAX || strlen(name) >= NAME_MAX_BYTES) {
        refuse(reader, "too many names, or one that is too long");
        return NULL;
    }
    struct object *const object = &program->objects[program->object_count++];
    snprintf(object->name, sizeof object->name, "%s", name);
    return object;
}

static struct word read_word(struct reader *reader, const char *text)
{
    struct word word = {.text = text};
    if (isdigit((unsigned char)*text) || *text == '-') {
        word.number = strtol(text, NULL, 10);
    } else if (strcmp(text, "never") == 0) {
        word.number = WHORL_NEVER;
    } else if (islower((unsigned char)*text)) {
        word.object = find_object(reader, text);
    }
    return word;
}

static bool is_word(const struct reader *reader, const char *word)
{
    return strcmp(reader->words[0], word) == 0;
}

static const struct step *read_block(struct reader *reader);

/* A step of locks and their like is for what was declared as such before. */
static perform *find_tool_step(struct reader *reader, bool *ret_is_block)
{
    unsigned kinds = 0;
    perform *const found = tool_find_step(reader->words[0], ret_is_block, &kinds);
    if (found == NULL) {
        return NULL;
    }
    const struct object *const object =
        reader->count > 1 ? find_object(reader, reader->words[1]) : NULL;
    return object != NULL && object->is_tool && (kinds >> object->tool_kind & 1) ? found : NULL;
}

static struct step *read_step(struct reader *reader)
{
    struct program *const program = reader->program;
    bool is_block = false;
    if (program->step_count == STEPS_MAX) {
        refuse(reader, "too many steps");
        return NULL;
    }
    struct step *const step = &program->steps[program->step_count++];
    step->text = strdup(reader->line);
    step->perform = program_find_step(reader->words[0], &is_block);
    if (step->perform == NULL) {
        step->perform = find_tool_step(reader, &is_block);
    }
    if (step->perform == NULL) {
        refuse(reader, "no such step");
        return NULL;
    }
    step->count = reader->count - 1;
    for (unsigned i = 0; i < step->count; i++) {
        step->words[i] = read_word(reader, reader->words[i + 1]);
    }
    if (is_block) {
        step->body = read_block(reader);
        if (!reader->wrong && is_word(reader, "cleanup")) {
            step->cleanup = read_block(reader);
        }
    }
    return step;
}

/* Up to its end, or to `cleanup`, which stays the present line. */
static const struct step *read_block(struct reader *reader)
{
    const struct step *first = NULL;
    const struct step **end = &first;
    while (next_line(reader)) {
        if (is_word(reader, "end") || is_word(reader, "cleanup")) {
            return first;
        }
        struct step *const step = read_step(reader);
        if (step == NULL) {
            return NULL;
        }
        *end = step;
        end = &step->next;
    }
    refuse(reader, "a block without end");
    return first;
}

static bool declares(const struct reader *reader)
{
    return is_word(reader, "task") || is_word(reader, "future") || is_word(reader, "callback") ||
           is_word(reader, "program") || tool_find_kind(reader->words[0]) >= 0;
}

/* The steps up to the next declaration; false: the text is over. */
static bool read_body(struct reader *reader, struct object *object)
{
    const struct step **end = &object->body;
    bool more = false;
    while (!reader->wrong && (more = next_line(reader)) && !declares(reader)) {
        struct step *const step = read_step(reader);
        if (step != NULL) {
            *end = step;
            end = &step->next;
        }
    }
    return more;
}

/* The present line is a declaration. False: the text is over. */
static bool read_declaration(struct reader *reader)
{
    if (reader->count < 2) {
        return refuse(reader, "no name");
    }
    if (is_word(reader, "program")) {
        reader->program->number = strtol(reader->words[1], NULL, 10);
        return next_line(reader);
    }
    struct object *const object = find_object(reader, reader->words[1]);
    if (object == NULL) {
        return false;
    }
    struct program *const program = reader->program;
    program->declared[program->declared_count++ % OBJECTS_MAX] = object;
    if (is_word(reader, "future")) {
        object->is_future = true;
        return next_line(reader);
    }
    if (tool_find_kind(reader->words[0]) >= 0) {
        object->is_tool = true;
        object->tool_kind = tool_find_kind(reader->words[0]);
        object->tool_size = reader->count > 2 ? strtol(reader->words[2], NULL, 10) : 0;
        return next_line(reader);
    }
    object->is_task = is_word(reader, "task");
    object->is_callback = !object->is_task;
    return read_body(reader, object);
}

static void forget(struct program *program)
{
    for (unsigned i = 0; i < program->step_count; i++) {
        free((void *)(uintptr_t)program->steps[i].text);
    }
    memset(program, 0, sizeof *program);
}

bool program_read(char *text, struct program *ret_program)
{
    struct reader reader = {.program = ret_program, .rest = text};
    forget(ret_program);
    bool more = next_line(&reader);
    while (more && !reader.wrong) {
        more = declares(&reader) ? read_declaration(&reader)
                                 : refuse(&reader, "no declaration");
    }
    return !reader.wrong;
}
