/*
 * httpd_request.h - the requests of httpd.c: from bytes to a path and the few headers that matter.
 *
 * Owns:       a connection's input: one request, and what came behind it.
 * Threads:    whoever runs the connection's task; nothing is shared.
 * Invariant:  0 <= parsed <= have <= sizeof input. A request's header stays where it is until the
 *             next request begins, so slices point into it.
 * Not chosen: a parser of our own; Debian's http_parser knows what smugglers try.
 *
 * There is no waiting here: bytes are put behind `have` by others. Unless it says otherwise, an int
 * result is 0 or the HTTP status to refuse the request with.
 */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include <http_parser.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum {
    HEADER_BYTES_MAX = 16 * 1024, /* more: 431 */
    TARGET_BYTES_MAX = 4 * 1024,  /* more: 414 */
    BODY_BYTES_MAX = 64 * 1024,   /* more: 413 */
    PATH_BYTES_MAX = TARGET_BYTES_MAX + sizeof "index.html",
};

struct slice {
    const char *at;
    size_t len;
};

struct request {
    http_parser parser;
    bool header_done, message_done;
    bool in_value;     /* the header piece that came last was a value's */
    int host_count;    /* Host headers seen */
    int refusal;       /* the status for which a callback stopped the parser */
    size_t body_bytes; /* of the body, so far */
    struct slice target, field, if_none_match, if_modified_since, expect;
    struct slice *value; /* which of these the present header sets; NULL: none */

    size_t parsed, have; /* input up to here was parsed, was received */
    char input[HEADER_BYTES_MAX];
};

static bool slice_is(struct slice slice, const char *text)
{
    return slice.len == strlen(text) && strncasecmp(slice.at, text, slice.len) == 0;
}

static bool slice_begins(struct slice slice, const char *text)
{
    return slice.len >= strlen(text) && memcmp(slice.at, text, strlen(text)) == 0;
}

/* A name or a value comes in pieces that lie next to each other in the input. */
static void slice_extend(struct slice *slice, const char *at, size_t len)
{
    if (slice->len == 0) {
        slice->at = at;
    }
    slice->len = (size_t)(at + len - slice->at);
}

/* ---- What the parser calls ------------------------------------------------------------------- */

static int on_target(http_parser *parser, const char *at, size_t len)
{
    struct request *request = parser->data;
    slice_extend(&request->target, at, len);
    request->refusal = request->target.len > TARGET_BYTES_MAX ? HTTP_STATUS_URI_TOO_LONG : 0;
    return request->refusal;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    struct request *request = parser->data;
    if (request->in_value) {
        request->in_value = false;
        request->field.len = 0;
    }
    slice_extend(&request->field, at, len);
    return memchr(at, ' ', len) ? -1
                                : 0; /* the library takes a space before the colon, RFCs do not */
}

/* Where the value of the present header goes. Of several with one name the last counts. */
static struct slice *find_value(struct request *request)
{
    struct slice *value = NULL;
    if (slice_is(request->field, "Host")) {
        request->host_count++;
    } else if (slice_is(request->field, "If-None-Match")) {
        value = &request->if_none_match;
    } else if (slice_is(request->field, "If-Modified-Since")) {
        value = &request->if_modified_since;
    } else if (slice_is(request->field, "Expect")) {
        value = &request->expect;
    }
    if (value) {
        value->len = 0;
    }
    return value;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct request *request = parser->data;
    if (request->header_done) {
        return 0; /* a trailer behind a chunked body: the input is being reused, keep nothing */
    }
    if (!request->in_value) {
        request->in_value = true;
        request->value = find_value(request);
    }
    if (request->value) {
        slice_extend(request->value, at, len);
    }
    return 0;
}

static int on_header_done(http_parser *parser)
{
    struct request *request = parser->data;
    request->header_done = true;
    http_parser_pause(parser, 1); /* so that the header can be judged before the body is read */
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct request *request = parser->data;
    (void)at;
    request->body_bytes += len;
    request->refusal = request->body_bytes > BODY_BYTES_MAX ? HTTP_STATUS_PAYLOAD_TOO_LARGE : 0;
    return request->refusal;
}

static int on_message_done(http_parser *parser)
{
    struct request *request = parser->data;
    request->message_done = true;
    http_parser_pause(parser, 1); /* what follows is the next request */
    return 0;
}

/* ---- One request after the other ------------------------------------------------------------- */

static void request_init(struct request *request)
{
    http_parser_init(&request->parser, HTTP_REQUEST);
    request->parser.data = request;
    request->parsed = request->have = 0;
}

/* Forgets the last request and moves what came behind it to the front. */
static void request_begin(struct request *request)
{
    request->have -= request->parsed;
    memmove(request->input, request->input + request->parsed, request->have);
    request->parsed = 0;
    request->header_done = request->message_done = request->in_value = false;
    request->host_count = request->refusal = 0;
    request->body_bytes = 0;
    request->target.len = request->field.len = request->expect.len = 0;
    request->if_none_match.len = request->if_modified_since.len = 0;
}

/* Parses what is there, up to the end of the header or of the message. */
static int request_parse(struct request *request)
{
    static const http_parser_settings callbacks = {
        .on_url = on_target,
        .on_header_field = on_field,
        .on_header_value = on_value,
        .on_headers_complete = on_header_done,
        .on_body = on_body,
        .on_message_complete = on_message_done,
    };
    http_parser_pause(&request->parser, 0);
    request->parsed +=
        http_parser_execute(&request->parser, &callbacks, request->input + request->parsed,
                            request->have - request->parsed);
    const enum http_errno error = HTTP_PARSER_ERRNO(&request->parser);
    if (error == HPE_OK || error == HPE_PAUSED) {
        return 0;
    }
    return request->refusal ? request->refusal : HTTP_STATUS_BAD_REQUEST;
}

/* Whether a complete header is one we answer at all. */
static int request_check_header(const struct request *request)
{
    const http_parser *parser = &request->parser;
    if (parser->http_major != 1) {
        return HTTP_STATUS_HTTP_VERSION_NOT_SUPPORTED;
    }
    if (request->host_count > 1 || (request->host_count == 0 && parser->http_minor > 0)) {
        return HTTP_STATUS_BAD_REQUEST;
    }
    if (parser->flags & F_CONTENTLENGTH && parser->content_length > BODY_BYTES_MAX) {
        return HTTP_STATUS_PAYLOAD_TOO_LARGE;
    }
    return 0;
}

/* ---- The target ------------------------------------------------------------------------------ */

/* Splits a target, "/a?b=c" or "http://host/a?b=c", into path and query. */
static bool target_split(struct slice target, struct slice *ret_path, struct slice *ret_query)
{
    struct http_parser_url url;
    http_parser_url_init(&url);
    if (http_parser_parse_url(target.at, target.len, 0, &url) != 0 ||
        !(url.field_set & 1 << UF_PATH) || target.at[url.field_data[UF_PATH].off] != '/') {
        return false;
    }
    *ret_path =
        (struct slice){target.at + url.field_data[UF_PATH].off, url.field_data[UF_PATH].len};
    *ret_query =
        (struct slice){target.at + url.field_data[UF_QUERY].off, url.field_data[UF_QUERY].len};
    return true;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    const int letter = digit | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The byte that two hex digits stand for; -1 if they are none, or mean NUL or a slash. */
static int decode_byte(const char *digits)
{
    const int high = hex_value(digits[0]);
    const int low = high < 0 ? -1 : hex_value(digits[1]);
    const int byte = high * 16 + low;
    return high < 0 || low < 0 || byte == '\0' || byte == '/' ? -1 : byte;
}

static bool leads_up(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")); at += 2) {
        if ((at == path || at[-1] == '/') && (at[2] == '\0' || at[2] == '/')) {
            return true;
        }
    }
    return false;
}

/*
 * From a target's path to one below the root: relative, percent-decoded, a folder's page named.
 * Returns 0, or -EINVAL: a code that is none or hides a NUL or a slash, or a step upwards.
 */
static int path_decode(struct slice raw, char ret_path[static PATH_BYTES_MAX])
{
    const char *at = raw.at, *const end = raw.at + raw.len;
    size_t len = 0;
    while (at < end && *at == '/') {
        at++;
    }
    while (at < end) {
        int byte = *at++;
        if (byte == '%') {
            byte = end - at >= 2 ? decode_byte(at) : -1;
            if (byte < 0) {
                return -EINVAL;
            }
            at += 2;
        }
        ret_path[len++] = (char)byte;
    }
    const bool folder = len == 0 || ret_path[len - 1] == '/';
    strcpy(ret_path + len, folder ? "index.html" : "");
    return leads_up(ret_path) ? -EINVAL : 0;
}

#endif
