/* Digests and stamps of records. */
#include "record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t fnv_offset = 14695981039346656037u;
static const uint64_t fnv_prime = 1099511628211u;

uint64_t digest_start(void) { return fnv_offset; }

static uint64_t mix(uint64_t digest, const void *bytes, size_t size) {
  const unsigned char *p = bytes;
  for (size_t i = 0; i < size; i++)
    digest = (digest ^ p[i]) * fnv_prime;
  return digest;
}

uint64_t digest_number(uint64_t digest, int64_t number) {
  unsigned char bytes[8];
  for (int i = 0; i < 8; i++)
    bytes[i] = (unsigned char)((uint64_t)number >> (8 * i));
  return mix(digest, bytes, sizeof bytes);
}

uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size,
                      bool null) {
  digest = digest_number(digest, null ? -1 : (int64_t)size);
  return null ? digest : mix(digest, bytes, size);
}

void key_text(char out[KEY_TEXT], const void *key, size_t size) {
  static const char plain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  const unsigned char *p = key;
  size_t used = 0;
  if (!key) {
    strcpy(out, "-");
    return;
  }
  for (size_t i = 0; i < size; i++) {
    if (used + 4 >= KEY_TEXT) { /* cut: the hash keeps it unique */
      sprintf(out, "%%%%%016" PRIx64, mix(fnv_offset, key, size));
      return;
    }
    if (p[i] != '\0' && strchr(plain, p[i]))
      out[used++] = (char)p[i];
    else
      used += (size_t)sprintf(out + used, "%%%02X", p[i]);
  }
  out[used] = '\0';
  if (size == 0)
    strcpy(out, "%");
  if (strcmp(out, "-") == 0)
    strcpy(out, "%2D");
}

static int64_t parse_seq(const void *value, size_t size) {
  char text[24];
  if (!value || size == 0 || size >= sizeof text)
    return -1;
  memcpy(text, value, size);
  text[size] = '\0';
  char *end;
  long long seq = strtoll(text, &end, 10);
  return *end == '\0' && seq >= 0 ? seq : -1;
}

void record_stamp(struct stamp *stamp, const void *key, size_t key_size,
                  const void *value, size_t value_size,
                  const rd_kafka_headers_t *headers, int64_t timestamp) {
  const char *name;
  const void *bytes;
  size_t size;
  uint64_t digest = digest_start();
  stamp->seq = -1;
  stamp->timestamp = timestamp;
  key_text(stamp->key, key, key_size);
  digest = digest_bytes(digest, key, key_size, !key);
  digest = digest_bytes(digest, value, value_size, !value);
  for (size_t i = 0; headers && rd_kafka_header_get_all(headers, i, &name,
                                                        &bytes, &size) == 0;
       i++) {
    digest = digest_bytes(digest, name, strlen(name), false);
    digest = digest_bytes(digest, bytes, size, !bytes);
    if (strcmp(name, "seq") == 0)
      stamp->seq = parse_seq(bytes, size);
  }
  stamp->digest = digest_number(digest, timestamp);
}

void message_stamp(struct stamp *stamp, const rd_kafka_message_t *message) {
  rd_kafka_headers_t *headers = NULL;
  rd_kafka_timestamp_type_t type;
  if (rd_kafka_message_headers(message, &headers) != 0)
    headers = NULL;
  record_stamp(stamp, message->key, message->key_len, message->payload,
               message->len, headers,
               rd_kafka_message_timestamp(message, &type));
}
