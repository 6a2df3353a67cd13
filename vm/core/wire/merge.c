/* Merging: small uncompressed neighbours become one batch.
 *
 * Records stay as they are but for two numbers in front of each: its offset
 * and its timestamp are counted from the batch's first. Both grow by what
 * lies between the two beginnings, and so may the bytes they take. */
#include "tranship/batch.h"

#include <stdlib.h>

#include "batch_int.h"

static bool is_plain(const tsh_batch *batch) {
  return batch->count > 0 && tsh_batch_is_dense(batch) &&
         tsh_batch_codec(batch) == TSH_CODEC_NONE &&
         !tsh_batch_is(batch, TSH_BATCH_APPEND_TIME | TSH_BATCH_TRANSACTIONAL |
                                  TSH_BATCH_CONTROL);
}

bool tsh_batch_merges(const tsh_batch *batch, const tsh_batch *next) {
  return is_plain(batch) && is_plain(next) &&
         tsh_batch_next_offset(batch) == next->base_offset;
}

static int64_t time_shift(const tsh_batch *first, const tsh_batch *batch) {
  return (int64_t)((uint64_t)batch->base_timestamp -
                   (uint64_t)first->base_timestamp);
}

/* A sum takes one byte more than its larger part at most, and the length in
 * front of the record grows by one at most. */
static size_t most_growth(int64_t time, int64_t offset) {
  return tsh_batch__varint_size(time) + tsh_batch__varint_size(offset) + 1;
}

/* How many of the batches fit into `limit` bytes, and the bytes they take at
 * most. */
static size_t how_many(const tsh_batch *list, size_t count, size_t limit,
                       size_t *bound) {
  int64_t records = 0;
  size_t fit = 0;
  *bound = TSH_BATCH_HEADER;
  for (; fit < count; fit++) {
    const tsh_batch *batch = &list[fit];
    size_t more =
        batch->size - TSH_BATCH_HEADER +
        (size_t)batch->count * most_growth(time_shift(list, batch), records);
    if (*bound + more > limit || records + batch->count > INT32_MAX)
      break;
    *bound += more;
    records += batch->count;
  }
  return fit;
}

/* Returns the place behind the last record, or NULL if they do not parse. */
static uint8_t *put_records(uint8_t *to, const tsh_batch *batch, int64_t time,
                            int64_t offset) {
  const uint8_t *at = batch->bytes + TSH_BATCH_HEADER;
  const uint8_t *end = batch->bytes + batch->size;
  int64_t length, delta_time, delta_offset;
  for (int32_t i = 0; i < batch->count; i++) {
    at = tsh_batch__get_varint(at, end, &length);
    if (at == NULL || length < 1 || length > end - at)
      return NULL;
    const uint8_t *next = at + length;
    uint8_t attributes = *at++;
    at = tsh_batch__get_varint(at, next, &delta_time);
    at = tsh_batch__get_varint(at, next, &delta_offset);
    if (at == NULL || delta_offset != i)
      return NULL;
    delta_time = (int64_t)((uint64_t)delta_time + (uint64_t)time);
    delta_offset += offset;
    size_t rest = (size_t)(next - at);
    to = tsh_batch__put_varint(
        to, 1 + (int64_t)(tsh_batch__varint_size(delta_time) +
                          tsh_batch__varint_size(delta_offset) + rest));
    *to++ = attributes;
    to = tsh_batch__put_varint(to, delta_time);
    to = tsh_batch__put_varint(to, delta_offset);
    memcpy(to, at, rest);
    to += rest;
    at = next;
  }
  return at == end ? to : NULL;
}

static void put_header(uint8_t *bytes, size_t size, const tsh_batch *first,
                       int32_t count, int64_t max_timestamp) {
  memcpy(bytes, first->bytes, TSH_BATCH_HEADER);
  put32(bytes + AT_LENGTH, (uint32_t)(size - LENGTH_OVERHEAD));
  put32(bytes + AT_LAST_OFFSET_DELTA, (uint32_t)count - 1);
  put32(bytes + AT_COUNT, (uint32_t)count);
  put64(bytes + AT_MAX_TIMESTAMP, (uint64_t)max_timestamp);
  put32(bytes + AT_CRC,
        tsh_crc32c(0, bytes + TSH_BATCH_CRC_FROM, size - TSH_BATCH_CRC_FROM));
}

size_t tsh_batch_merge(const tsh_batch *list, size_t count, size_t limit,
                       uint8_t **out, size_t *size) {
  size_t bound, merged = 0;
  size_t fit = how_many(list, count, limit, &bound);
  uint8_t *bytes = fit < 2 ? NULL : malloc(bound);
  if (bytes == NULL)
    return 0;
  uint8_t *at = bytes + TSH_BATCH_HEADER;
  int64_t max_timestamp = list[0].max_timestamp;
  int32_t records = 0;
  for (; merged < fit; merged++) {
    const tsh_batch *batch = &list[merged];
    uint8_t *next =
        tsh_batch_check(batch, NULL) != 0
            ? NULL
            : put_records(at, batch, time_shift(list, batch), records);
    if (next == NULL)
      break;
    at = next;
    records += batch->count;
    if (batch->max_timestamp > max_timestamp)
      max_timestamp = batch->max_timestamp;
  }
  if (merged < 2) {
    free(bytes);
    return 0;
  }
  *size = (size_t)(at - bytes);
  uint8_t *trimmed = realloc(bytes, *size);
  *out = trimmed != NULL ? trimmed : bytes;
  put_header(*out, *size, list, records, max_timestamp);
  return merged;
}
