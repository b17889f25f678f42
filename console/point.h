/* console/point.h: a restore point as the coordinator tells of it, for people and for machines. Thread: any. */
#ifndef CONSOLE_POINT_H
#define CONSOLE_POINT_H

#include <jansson.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/error.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "console/format_text.h"
#include "format/id.h"

enum { POINT_NAME_SIZE = 4 * 255 + 1, POINT_SHORT_DIGITS = 12 };

/* Texts fit for a terminal. */
struct point_text {
    char id[ID_TEXT_SIZE];
    char short_id[POINT_SHORT_DIGITS + 1];
    char time[FORMAT_TEXT_SIZE];
    char host[POINT_NAME_SIZE];
    char disk[POINT_NAME_SIZE];
    char size[FORMAT_TEXT_SIZE];
    char consistency[FORMAT_TEXT_SIZE];
    char how[FORMAT_TEXT_SIZE + POINT_NAME_SIZE]; /* "incremental", "whole read: REASON" */
};

/* STATUS_CORRUPT: POINT (NULL too) names no point. */
NODISCARD enum status point_text(const Tidemark__V1__Point *point, struct point_text *ret_text,
                                 struct error *err);

/* An object with the whole id; *ret_json is the caller's (json_decref). STATUS_CORRUPT, STATUS_EXHAUSTED. */
NODISCARD enum status point_json(const Tidemark__V1__Point *point, json_t **ret_json,
                                 struct error *err);

/* The digits of the point that the bytes ID name, of which there are 32 (STATUS_CORRUPT). */
NODISCARD enum status point_id_text(ProtobufCBinaryData id, char ret_text[ID_TEXT_SIZE],
                                    struct error *err);

/* A count as JSON: jansson's integers end at 2^63 - 1, no disk gets there. */
json_int_t point_json_count(uint64_t count);

/* Prints JSON (the caller's still; NULL: there was no memory for it) and a line feed. That OUT takes it is
 * command_flush()'s to say. STATUS_EXHAUSTED. */
NODISCARD enum status point_print_json(const json_t *json, FILE *out, struct error *err);

#endif
