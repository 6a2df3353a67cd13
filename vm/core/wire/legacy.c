/* Messages of the formats 0 and 1, which brokers before 0.11 wrote and newer
 * ones still serve from old segments: read as batches of format 2.
 *
 * A message is a record, or wraps a compressed set of them and then has the
 * offset of the last. Inside, format 0 counts offsets from the log's start and
 * format 1 from the wrapper's first. */
#include "tranship/batch.h"

#include <stdlib.h>
#include <xxhash.h>
#include <zlib.h>

#include "batch_int.h"

enum {
  AT_OLD_CRC = 12,
  AT_OLD_ATTRIBUTES = 17,
  AT_OLD_TIMESTAMP = 18, /* format 1 alone */
  MAGIC = 2,
  NO_TIMESTAMP = -1,
  MOST_BYTES = 1 << 20,                /* of single messages in one batch */
  RECORD_OVERHEAD = 6 * VARINT_MAX + 1 /* varints and attributes, at most */
};

typedef struct message {
  tsh_record record; /* offset, timestamp, key, value */
  size_t size;
  int magic;
  int attributes;
} message;

static tsh_codec codec_of(const message *m) {
  return (tsh_codec)(m->attributes & TSH_BATCH_CODEC);
}

static int broken(tsh_err *err, int code, int64_t offset, const char *what) {
  return tsh_err_set(err, TSH_PROTOCOL, "batch", code,
                     "the message at offset %lld %s", (long long)offset, what);
}

static const uint8_t *get_bytes(const uint8_t *at, const uint8_t *end,
                                const uint8_t **bytes, size_t *size) {
  if (at == NULL || end - at < 4)
    return NULL;
  int32_t length = (int32_t)get32(at);
  at += 4;
  if (length < -1 || length > end - at)
    return NULL;
  *bytes = length < 0 ? NULL : at;
  *size = length < 0 ? 0 : (size_t)length;
  return at + *size;
}

/* 1, 0 where the bytes end before it does, or negative. */
static int parse(message *out, const uint8_t *bytes, size_t size,
                 tsh_err *err) {
  if (size <= AT_OLD_ATTRIBUTES)
    return 0;
  int64_t offset = (int64_t)get64(bytes);
  int32_t length = (int32_t)get32(bytes + AT_LENGTH);
  if (length <= AT_OLD_ATTRIBUTES - LENGTH_OVERHEAD)
    return broken(err, KAFKA_CORRUPT_MESSAGE, offset, "is too short");
  if (offset < 0 || offset == INT64_MAX)
    return broken(err, KAFKA_INVALID_RECORD, offset, "is not in its place");
  if ((size_t)length + LENGTH_OVERHEAD > size)
    return 0;
  *out = (message){.size = (size_t)length + LENGTH_OVERHEAD,
                   .magic = bytes[AT_MAGIC],
                   .attributes = bytes[AT_OLD_ATTRIBUTES]};
  const uint8_t *end = bytes + out->size, *at = bytes + AT_OLD_TIMESTAMP;
  tsh_record *record = &out->record;
  record->offset = offset;
  record->timestamp = NO_TIMESTAMP;
  if (out->magic == 1 && end - at >= 8) {
    record->timestamp = (int64_t)get64(at);
    at += 8;
  }
  at = get_bytes(at, end, &record->key, &record->key_size);
  at = get_bytes(at, end, &record->value, &record->value_size);
  if (at != end)
    return broken(err, KAFKA_INVALID_RECORD, offset, "does not parse");
  return 1;
}

static int check(const message *m, const uint8_t *bytes, tsh_err *err) {
  uint32_t crc =
      (uint32_t)crc32(0, bytes + AT_MAGIC, (uInt)(m->size - AT_MAGIC));
  if (crc == get32(bytes + AT_OLD_CRC))
    return 0;
  return broken(err, KAFKA_CORRUPT_MESSAGE, m->record.offset,
                "does not match its CRC");
}

/* --- the batch that is made --- */

static uint8_t *put_bytes(uint8_t *at, const uint8_t *bytes, size_t size) {
  at = tsh_batch__put_varint(at, bytes == NULL ? -1 : (int64_t)size);
  if (size > 0)
    memcpy(at, bytes, size);
  return at + size;
}

static size_t bytes_size(const uint8_t *bytes, size_t size) {
  return tsh_batch__varint_size(bytes == NULL ? -1 : (int64_t)size) + size;
}

/* `legacy->batch` holds what the header will say; records keep their offsets,
 * so there may be gaps. */
static int put_record(tsh_legacy *legacy, const tsh_record *record,
                      tsh_err *err) {
  tsh_batch *batch = &legacy->batch;
  if (batch->count == 0) {
    batch->size = TSH_BATCH_HEADER;
    batch->base_offset = record->offset;
    batch->base_timestamp = batch->max_timestamp = record->timestamp;
  }
  int64_t offset =
      record->offset < 0 ? -1 : record->offset - batch->base_offset;
  int64_t least = batch->count == 0 ? 0 : batch->last_offset_delta + INT64_C(1);
  if (record->offset == INT64_MAX || offset < least || offset > INT32_MAX)
    return broken(err, KAFKA_INVALID_RECORD, record->offset,
                  "is not in its place");
  int status = tsh_batch__reserve(&legacy->buffer, &legacy->capacity,
                                  batch->size + RECORD_OVERHEAD +
                                      record->key_size + record->value_size,
                                  err);
  if (status != 0)
    return status;
  int64_t time =
      (int64_t)((uint64_t)record->timestamp - (uint64_t)batch->base_timestamp);
  size_t length = 1 + tsh_batch__varint_size(time) +
                  tsh_batch__varint_size(offset) +
                  bytes_size(record->key, record->key_size) +
                  bytes_size(record->value, record->value_size) + 1;
  uint8_t *at = legacy->buffer + batch->size;
  at = tsh_batch__put_varint(at, (int64_t)length);
  *at++ = 0;
  at = tsh_batch__put_varint(at, time);
  at = tsh_batch__put_varint(at, offset);
  at = put_bytes(at, record->key, record->key_size);
  at = put_bytes(at, record->value, record->value_size);
  *at++ = 0; /* headers */
  batch->size = (size_t)(at - legacy->buffer);
  batch->last_offset_delta = (int32_t)offset;
  batch->count++;
  if (record->timestamp > batch->max_timestamp)
    batch->max_timestamp = record->timestamp;
  return 0;
}

static int finish(tsh_legacy *legacy, tsh_batch *out, tsh_err *err) {
  const tsh_batch *batch = &legacy->batch;
  uint8_t *bytes = legacy->buffer;
  memset(bytes, 0, TSH_BATCH_HEADER);
  put64(bytes + AT_BASE_OFFSET, (uint64_t)batch->base_offset);
  put32(bytes + AT_LENGTH, (uint32_t)(batch->size - LENGTH_OVERHEAD));
  put32(bytes + AT_LEADER_EPOCH, (uint32_t)-1);
  bytes[AT_MAGIC] = MAGIC;
  put32(bytes + AT_LAST_OFFSET_DELTA, (uint32_t)batch->last_offset_delta);
  put64(bytes + AT_BASE_TIMESTAMP, (uint64_t)batch->base_timestamp);
  put64(bytes + AT_MAX_TIMESTAMP, (uint64_t)batch->max_timestamp);
  put64(bytes + AT_PRODUCER_ID, (uint64_t)-1);
  put16(bytes + AT_PRODUCER_EPOCH, (uint16_t)-1);
  put32(bytes + AT_BASE_SEQUENCE, (uint32_t)-1);
  put32(bytes + AT_COUNT, (uint32_t)batch->count);
  put32(bytes + AT_CRC, tsh_crc32c(0, bytes + TSH_BATCH_CRC_FROM,
                                   batch->size - TSH_BATCH_CRC_FROM));
  return tsh_batch_read(out, bytes, batch->size, err);
}

/* --- wrappers --- */

enum {
  LZ4_FLAGS = 4, /* in a frame, behind its magic */
  LZ4_WITH_SIZE = 8,
  LZ4_WITH_DICTIONARY = 1
};

/* Format 0's clients computed the checksum of an LZ4 frame's header over its
 * magic as well. NULL: no memory, or no such header. */
static uint8_t *mended_lz4(const uint8_t *bytes, size_t size) {
  if (size <= LZ4_FLAGS)
    return NULL;
  size_t checksum = LZ4_FLAGS + 2;
  if (bytes[LZ4_FLAGS] & LZ4_WITH_SIZE)
    checksum += 8;
  if (bytes[LZ4_FLAGS] & LZ4_WITH_DICTIONARY)
    checksum += 4;
  uint8_t *copy = size > checksum ? malloc(size) : NULL;
  if (copy == NULL)
    return NULL;
  memcpy(copy, bytes, size);
  copy[checksum] =
      (uint8_t)(XXH32(copy + LZ4_FLAGS, checksum - LZ4_FLAGS, 0) >> 8);
  return copy;
}

static int expand(tsh_legacy *legacy, const message *wrapper, size_t limit,
                  size_t *size, tsh_err *err) {
  const tsh_record *record = &wrapper->record;
  uint8_t *mended = NULL;
  if (record->value == NULL || codec_of(wrapper) > TSH_CODEC_LZ4)
    return broken(err, KAFKA_INVALID_RECORD, record->offset,
                  "wraps nothing that can be opened");
  if (wrapper->magic == 0 && codec_of(wrapper) == TSH_CODEC_LZ4)
    mended = mended_lz4(record->value, record->value_size);
  int status = tsh_codec_expand(codec_of(wrapper),
                                mended != NULL ? mended : record->value,
                                record->value_size, limit, &legacy->set,
                                &legacy->set_capacity, size, err);
  free(mended);
  return status;
}

/* The last offset of a set, as it is written there. */
static int last_of(const uint8_t *set, size_t size, int64_t *last,
                   tsh_err *err) {
  message inner;
  int status = 0;
  size_t at = 0;
  for (; at < size && (status = parse(&inner, set + at, size - at, err)) == 1;
       at += inner.size)
    *last = inner.record.offset;
  if (status == 1)
    return 0;
  return status < 0 ? status
                    : tsh_batch__bad(err, KAFKA_INVALID_RECORD,
                                     "a compressed set of messages breaks off");
}

static int put_set(tsh_legacy *legacy, const message *wrapper, size_t size,
                   tsh_err *err) {
  int64_t last = 0, shift = 0;
  int status = last_of(legacy->set, size, &last, err);
  if (status == 0 && wrapper->magic == 1)
    shift = (int64_t)((uint64_t)wrapper->record.offset - (uint64_t)last);
  for (size_t at = 0; status == 0 && at < size;) {
    message inner;
    if (parse(&inner, legacy->set + at, size - at, err) != 1)
      return TSH_PROTOCOL;
    if (inner.magic != wrapper->magic || codec_of(&inner) != TSH_CODEC_NONE)
      return broken(err, KAFKA_INVALID_RECORD, wrapper->record.offset,
                    "wraps a message of another format");
    inner.record.offset =
        (int64_t)((uint64_t)inner.record.offset + (uint64_t)shift);
    if (wrapper->attributes & TSH_BATCH_APPEND_TIME)
      inner.record.timestamp = wrapper->record.timestamp;
    status = put_record(legacy, &inner.record, err);
    at += inner.size;
  }
  return status;
}

/* --- reading --- */

void tsh_legacy_init(tsh_legacy *legacy) { *legacy = (tsh_legacy){0}; }

void tsh_legacy_fini(tsh_legacy *legacy) {
  free(legacy->buffer);
  free(legacy->set);
  tsh_legacy_init(legacy);
}

/* May the single message stand in the batch that has been begun? */
static bool follows(const tsh_legacy *legacy, const message *m) {
  const tsh_batch *batch = &legacy->batch;
  return codec_of(m) == TSH_CODEC_NONE && m->magic < MAGIC &&
         batch->size + m->size < MOST_BYTES &&
         m->record.offset > tsh_batch_next_offset(batch) - 1 &&
         m->record.offset - batch->base_offset <= INT32_MAX;
}

static int read_singles(tsh_legacy *legacy, const uint8_t *bytes, size_t size,
                        size_t *used, tsh_err *err) {
  message m;
  int status = 0;
  while (tsh_legacy_is(bytes + *used, size - *used) &&
         parse(&m, bytes + *used, size - *used, err) == 1 &&
         (legacy->batch.count == 0 || follows(legacy, &m))) {
    /* One that does not hold ends the batch, and is told by the next call. */
    status = check(&m, bytes + *used, err);
    if (status == 0)
      status = put_record(legacy, &m.record, err);
    if (status != 0)
      return legacy->batch.count > 0 && status == TSH_PROTOCOL ? 0 : status;
    *used += m.size;
  }
  return 0;
}

int tsh_legacy_read(tsh_legacy *legacy, const uint8_t *bytes, size_t size,
                    size_t limit, tsh_batch *out, size_t *used, tsh_err *err) {
  message m;
  size_t set = 0;
  int status = parse(&m, bytes, size, err);
  if (status != 1)
    return status;
  *used = 0;
  legacy->codec = codec_of(&m);
  legacy->batch = (tsh_batch){0};
  if (legacy->codec == TSH_CODEC_NONE) {
    status = read_singles(legacy, bytes, size, used, err);
  } else {
    *used = m.size;
    status = check(&m, bytes, err);
    if (status == 0)
      status = expand(legacy, &m, limit, &set, err);
    if (status == 0)
      status = put_set(legacy, &m, set, err);
  }
  if (status == 0 && legacy->batch.count == 0)
    status =
        broken(err, KAFKA_INVALID_RECORD, m.record.offset, "wraps nothing");
  return status != 0 ? status : finish(legacy, out, err);
}

int tsh_batch_span(const uint8_t *bytes, size_t size, int64_t *next,
                   size_t *used, tsh_err *err) {
  tsh_batch batch;
  message m;
  if (tsh_legacy_is(bytes, size)) {
    int status = parse(&m, bytes, size, err);
    if (status == 1) {
      *next = m.record.offset + 1;
      *used = m.size;
    }
    return status;
  }
  int status = tsh_batch_read(&batch, bytes, size, err);
  if (status == 1) {
    *next = tsh_batch_next_offset(&batch);
    *used = batch.size;
  }
  return status;
}
