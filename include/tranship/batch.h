/* Record batches, format v2: read, check, rewrite, open, build. What older
 * brokers left in the formats before it is read as such batches.
 *
 * Pure data: no thread, no loop, no I/O; one object belongs to one thread at a
 * time. All functions that can fail return 0 (or 1, where said) or a negative
 * kind: TSH_PROTOCOL for bytes that break the format (code 2 for a wrong CRC,
 * 35 for a magic other than 2, 87 for records that do not parse), TSH_LIMIT
 * for contents that would pass a stated bound, TSH_NO_MEMORY. */
#ifndef TRANSHIP_BATCH_H
#define TRANSHIP_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"

/* Castagnoli. `tsh_crc32c(0, p, n)` is the checksum of n bytes; a checksum may
 * be passed in again to go on. The raw pair works on states without the two
 * inversions: raw(s, p, n) feeds bytes, shift(s, n) feeds n zero bytes in
 * O(log n), so raw(s, ab) = shift(raw(s, a), len(b)) ^ raw(0, b). */
uint32_t tsh_crc32c(uint32_t crc, const void *bytes, size_t size);
uint32_t tsh_crc32c_raw(uint32_t state, const void *bytes, size_t size);
uint32_t tsh_crc32c_shift(uint32_t state, uint64_t zeros);
uint32_t tsh_crc32c_table(uint32_t state, const void *bytes, size_t size);

enum {
  TSH_BATCH_HEADER = 61, /* bytes before the records */
  TSH_BATCH_CRC_FROM = 21,
  TSH_BATCH_CODEC = 7, /* attribute bits */
  TSH_BATCH_APPEND_TIME = 8,
  TSH_BATCH_TRANSACTIONAL = 16,
  TSH_BATCH_CONTROL = 32,
  TSH_BATCH_HORIZON = 64
};

typedef enum tsh_codec {
  TSH_CODEC_NONE,
  TSH_CODEC_GZIP,
  TSH_CODEC_SNAPPY,
  TSH_CODEC_LZ4,
  TSH_CODEC_ZSTD
} tsh_codec;

/* A header in host order. `bytes` is borrowed and holds `size` bytes, header
 * included. `count` may be 0 (a batch that the cleaner emptied). */
typedef struct tsh_batch {
  const uint8_t *bytes;
  size_t size;
  int64_t base_offset;
  int64_t base_timestamp;
  int64_t max_timestamp;
  int64_t producer_id;
  int32_t leader_epoch;
  int32_t last_offset_delta;
  int32_t base_sequence;
  int32_t count;
  uint32_t crc;
  int16_t attributes;
  int16_t producer_epoch;
} tsh_batch;

/* 1 = `out` holds the batch at `bytes`; 0 = the bytes end before the batch
 * does (a Fetch response may cut off its last one). Does not check the CRC. */
int tsh_batch_read(tsh_batch *out, const uint8_t *bytes, size_t size,
                   tsh_err *err);
/* Compares the CRC. */
int tsh_batch_check(const tsh_batch *batch, tsh_err *err);

static inline int64_t tsh_batch_next_offset(const tsh_batch *batch) {
  return batch->base_offset + batch->last_offset_delta + 1;
}
static inline tsh_codec tsh_batch_codec(const tsh_batch *batch) {
  return (tsh_codec)(batch->attributes & TSH_BATCH_CODEC);
}
static inline bool tsh_batch_is(const tsh_batch *batch, int attribute) {
  return (batch->attributes & attribute) != 0;
}
/* Every offset of the batch's range holds a record. */
static inline bool tsh_batch_is_dense(const tsh_batch *batch) {
  return batch->count == (int64_t)batch->last_offset_delta + 1;
}
/* A broker takes the payload byte for byte, and shows the same timestamps. */
static inline bool tsh_batch_is_forwardable(const tsh_batch *batch) {
  return tsh_batch_is_dense(batch) && batch->count > 0 &&
         !tsh_batch_is(batch, TSH_BATCH_CONTROL | TSH_BATCH_APPEND_TIME);
}

/* Whose batch it becomes. Ids of -1 mean no producer id. */
typedef struct tsh_stamp {
  int64_t producer_id;
  int16_t producer_epoch;
  int32_t sequence;
  bool transactional;
} tsh_stamp;

/* Rewrites the header in place for Produce: base offset 0, leader epoch -1,
 * append-time and horizon bits cleared, the stamp's producer. With `verify`
 * the old CRC is checked in the same single pass that makes the new one;
 * without, the new CRC comes from the header's difference alone and the
 * payload is not touched. On failure the bytes are as they were. */
int tsh_batch_stamp(uint8_t *bytes, size_t size, const tsh_stamp *stamp,
                    bool verify, tsh_err *err);

/* The second lies right behind the first, and one batch could hold both:
 * uncompressed, dense, stamped by producers, outside transactions. */
bool tsh_batch_merges(const tsh_batch *batch, const tsh_batch *next);
/* One batch, malloc'd, of the first of `count` batches each of which merges
 * with the next: as many as hold their CRC, parse, and fit into `limit` bytes.
 * Returns how many, or 0 when that would be fewer than two. Every record keeps
 * offset, timestamp and contents; the header is the first one's, to be
 * stamped. */
size_t tsh_batch_merge(const tsh_batch *list, size_t count, size_t limit,
                       uint8_t **out, size_t *size);

/* One record. Pointers borrow from the open tsh_records. A NULL key or value
 * is null, an empty one is not. `headers` is the encoded list that follows
 * the header count. */
typedef struct tsh_record {
  int64_t offset;
  int64_t timestamp; /* append time where the batch says so */
  const uint8_t *key;
  const uint8_t *value;
  const uint8_t *headers;
  size_t key_size;
  size_t value_size;
  size_t headers_size;
  int32_t header_count;
  int8_t attributes;
} tsh_record;

typedef struct tsh_header {
  const uint8_t *name;
  const uint8_t *value; /* NULL = null */
  size_t name_size;
  size_t value_size;
} tsh_header;

/* Walks the records of a batch. init once, open for any number of batches in
 * turn (its buffer is kept), fini at the end. */
typedef struct tsh_records {
  tsh_batch batch;
  const uint8_t *at;
  const uint8_t *end;
  uint8_t *buffer; /* decompressed records, or NULL */
  size_t capacity;
  int32_t left;
} tsh_records;

void tsh_records_init(tsh_records *records);
void tsh_records_fini(tsh_records *records);
/* Decompresses at most `limit` bytes. Does not check the CRC. The batch's
 * bytes stay borrowed while the records are used. */
int tsh_records_open(tsh_records *records, const tsh_batch *batch, size_t limit,
                     tsh_err *err);
/* 1 = a record, 0 = all `count` records were given and nothing is left. */
int tsh_records_next(tsh_records *records, tsh_record *out, tsh_err *err);
/* Headers: start with *at = record->headers; 1, 0 at the end, or negative. */
int tsh_record_header(const tsh_record *record, const uint8_t **at,
                      tsh_header *out, tsh_err *err);

/* Reads messages of the formats 0 and 1. init once, read any number of times
 * (its buffers are kept), fini at the end. `codec` is that of what was read
 * last; the batch that it became is not compressed. */
typedef struct tsh_legacy {
  tsh_codec codec;
  tsh_batch batch;
  uint8_t *buffer;
  size_t capacity;
  uint8_t *set; /* decompressed messages */
  size_t set_capacity;
} tsh_legacy;

static inline bool tsh_legacy_is(const uint8_t *bytes, size_t size) {
  return size > 16 && bytes[16] < 2;
}

void tsh_legacy_init(tsh_legacy *legacy);
void tsh_legacy_fini(tsh_legacy *legacy);
/* 1 = `out` holds the records of one compressed message, or of some that
 * follow each other, at their offsets; 0 = the bytes end before the first of
 * them does. Borrowed until the next call; `*used` bytes were taken. Checks
 * their CRC and decompresses at most `limit` bytes. */
int tsh_legacy_read(tsh_legacy *legacy, const uint8_t *bytes, size_t size,
                    size_t limit, tsh_batch *out, size_t *used, tsh_err *err);
/* Of the batch or message at `bytes`, whatever its format: the offset behind
 * it and its size. 1, 0 = cut off, or negative. */
int tsh_batch_span(const uint8_t *bytes, size_t size, int64_t *next,
                   size_t *used, tsh_err *err);

/* Builds one dense batch. Records are copied in; their offsets are not looked
 * at. `finish` compresses, stamps and hands over malloc'd bytes, and leaves
 * the builder empty for the next batch. */
typedef struct tsh_builder {
  uint8_t *buffer;
  size_t size;
  size_t capacity;
  int64_t base_timestamp;
  int64_t max_timestamp;
  int32_t count;
} tsh_builder;

void tsh_builder_init(tsh_builder *builder);
void tsh_builder_fini(tsh_builder *builder);
int tsh_builder_add(tsh_builder *builder, const tsh_record *record,
                    tsh_err *err);
int tsh_builder_finish(tsh_builder *builder, tsh_codec codec,
                       const tsh_stamp *stamp, uint8_t **out, size_t *size,
                       tsh_err *err);

/* A malloc'd batch of `count` empty records, zstd, to stand for offsets below
 * a log start. `keyed` gives them zero-length keys (compacted topics). */
int tsh_batch_filler(int32_t count, bool keyed, int64_t timestamp,
                     const tsh_stamp *stamp, uint8_t **out, size_t *size,
                     tsh_err *err);

/* Which batches of a read_committed Fetch response are not committed data.
 * Add the response's aborted transactions in any order, then ask for every
 * batch of it in offset order. */
typedef struct tsh_aborted {
  struct tsh_abort *heap; /* by first offset */
  size_t count;
  size_t capacity;
  int64_t *open; /* producer ids with an aborted transaction open now */
  size_t open_count;
  size_t open_capacity;
} tsh_aborted;

void tsh_aborted_init(tsh_aborted *aborted);
void tsh_aborted_fini(tsh_aborted *aborted);
void tsh_aborted_clear(tsh_aborted *aborted);
int tsh_aborted_add(tsh_aborted *aborted, int64_t producer_id,
                    int64_t first_offset, tsh_err *err);
/* 1 = not data (a control batch, or part of an aborted transaction) and it
 * matches its CRC; 0 = data (possibly of an empty batch); or negative. */
int tsh_aborted_skips(tsh_aborted *aborted, const tsh_batch *batch,
                      tsh_err *err);

/* Payload codecs, as Kafka frames them. Output is malloc'd or grown in place:
 * `*buffer` of `*capacity` bytes, never past `limit`; `*size` is what came. */
int tsh_codec_expand(tsh_codec codec, const uint8_t *bytes, size_t size,
                     size_t limit, uint8_t **buffer, size_t *capacity,
                     size_t *expanded, tsh_err *err);
/* Appends after `keep` bytes that are in the buffer already. */
int tsh_codec_compress(tsh_codec codec, const uint8_t *bytes, size_t size,
                       size_t keep, uint8_t **buffer, size_t *capacity,
                       size_t *compressed, tsh_err *err);
const char *tsh_codec_name(tsh_codec codec);

#endif
