/* tests/console_sample.h: a host that signs, and a disk of it as the coordinator would export it. Whatever
 * fails is a broken invariant. Thread: one at a time. */
#ifndef TESTS_CONSOLE_SAMPLE_H
#define TESTS_CONSOLE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/tidemark/v1/console.pb-c.h"
#include "format/id.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test_certificates.h"

enum { CONSOLE_SAMPLE_NAME_SIZE = 32 };

/* 2026-11-23T14:03:07Z, and a moment at which certificates of TEST_EXPIRED were valid. */
#define CONSOLE_SAMPLE_TIME_US     INT64_C(1795442587000000)
#define CONSOLE_SAMPLE_OLD_TIME_US INT64_C(960000000000000)

struct console_host {
    char name[CONSOLE_SAMPLE_NAME_SIZE];
    char *ca_pem; /* of the CA that has signed for it */
    char *certificate_pem;
    char *key_pem;
};

void console_host_make(struct console_host *host, const char *name, enum test_validity validity);
void console_host_deinit(struct console_host *host); /* zeroed is fine */

struct console_disk {
    uint64_t size;
    uint32_t block_size;
    uint8_t *content;
};

/* Of each PERIOD blocks of the disk one is random, one compresses well, and the others are holes (PERIOD
 * 1: all is random; 0: all is a hole). */
void console_disk_make(struct console_disk *disk, uint64_t size, uint32_t block_size,
                       unsigned period, struct random_seeded *random);
void console_disk_deinit(struct console_disk *disk); /* zeroed is fine */

struct console_sample {
    struct id point;
    char point_text[ID_TEXT_SIZE];
    Tidemark__V1__ExportPart **parts; /* the opening one first; who takes one leaves NULL */
    size_t count;
};

struct console_sample_options {
    const struct console_host *host;
    const char *stated_host; /* NULL: the same */
    const struct console_disk *disk;
    int64_t time_us;
    size_t blocks_in_part;
};

/* The parts are as if received: their owner frees them by rpc_message_free(). */
void console_sample_make(struct console_sample *sample,
                         const struct console_sample_options *options);
void console_sample_deinit(struct console_sample *sample); /* zeroed is fine */

/* MESSAGE as the other side receives it; the caller's (rpc_message_free). */
ProtobufCMessage *console_sample_receive(const ProtobufCMessage *message);

#endif
