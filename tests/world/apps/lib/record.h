/*
 * What identifies a record and proves that nothing in it was changed: its key,
 * its number within the key, and a digest over key, value, headers, timestamp.
 */
#ifndef WORLD_RECORD_H
#define WORLD_RECORD_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_TEXT = 96 };

struct stamp {
  char key[KEY_TEXT]; /* as written in a trail */
  int64_t seq;        /* from the header "seq"; -1 without one */
  int64_t timestamp;
  uint64_t digest;
};

/* FNV-1a, 64 bits, over length and bytes; null differs from empty. */
uint64_t digest_start(void);
uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size,
                      bool null);
uint64_t digest_number(uint64_t digest, int64_t number);

/* A key as a word without spaces; one too long is cut and hashed. */
void key_text(char out[KEY_TEXT], const void *key, size_t size);

/* Fills `stamp` from a record's parts. */
void record_stamp(struct stamp *stamp, const void *key, size_t key_size,
                  const void *value, size_t value_size,
                  const rd_kafka_headers_t *headers, int64_t timestamp);

/* The same from a message that was read. */
void message_stamp(struct stamp *stamp, const rd_kafka_message_t *message);

#endif
