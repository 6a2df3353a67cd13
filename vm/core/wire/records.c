/* Walking the records of a batch, and their headers. */
#include "tranship/batch.h"

#include <stdlib.h>

#include "batch_int.h"

const uint8_t *tsh_batch__get_varint(const uint8_t *at, const uint8_t *end,
                                     int64_t *out) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && at != NULL && at < end; shift += 7) {
    uint8_t byte = *at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) {
      *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
      return at;
    }
  }
  return NULL;
}

void tsh_records_init(tsh_records *records) { *records = (tsh_records){0}; }

void tsh_records_fini(tsh_records *records) {
  free(records->buffer);
  tsh_records_init(records);
}

int tsh_records_open(tsh_records *records, const tsh_batch *batch, size_t limit,
                     tsh_err *err) {
  const uint8_t *payload = batch->bytes + TSH_BATCH_HEADER;
  size_t size = batch->size - TSH_BATCH_HEADER;
  records->batch = *batch;
  records->left = 0;
  if (batch->count > 0 && tsh_batch_codec(batch) != TSH_CODEC_NONE) {
    int status =
        tsh_codec_expand(tsh_batch_codec(batch), payload, size, limit,
                         &records->buffer, &records->capacity, &size, err);
    if (status != 0)
      return status;
    payload = records->buffer;
  } else if (batch->count == 0) {
    size = 0; /* the cleaner leaves a header alone */
  }
  records->at = payload;
  records->end = payload + size;
  records->left = batch->count;
  return 0;
}

static int broken(tsh_err *err, const tsh_records *records) {
  return tsh_err_set(err, TSH_PROTOCOL, "batch", KAFKA_INVALID_RECORD,
                     "record %d of the batch at offset %lld does not parse",
                     (int)(records->batch.count - records->left),
                     (long long)records->batch.base_offset);
}

/* Length and bytes; -1 is null. Keeps NULL for a caller that checks late. */
static const uint8_t *get_bytes(const uint8_t *at, const uint8_t *end,
                                const uint8_t **bytes, size_t *size) {
  int64_t length;
  *bytes = NULL;
  *size = 0;
  at = tsh_batch__get_varint(at, end, &length);
  if (at == NULL || length < -1 || length > end - at)
    return NULL;
  if (length == -1)
    return at;
  *bytes = at;
  *size = (size_t)length;
  return at + length;
}

static bool parse(const tsh_batch *batch, const uint8_t *at, const uint8_t *end,
                  tsh_record *out) {
  int64_t time_delta, offset_delta, headers;
  if (at == end)
    return false;
  out->attributes = (int8_t)*at++;
  at = tsh_batch__get_varint(at, end, &time_delta);
  at = tsh_batch__get_varint(at, end, &offset_delta);
  at = get_bytes(at, end, &out->key, &out->key_size);
  at = get_bytes(at, end, &out->value, &out->value_size);
  at = tsh_batch__get_varint(at, end, &headers);
  if (at == NULL || headers < 0 || headers > end - at || offset_delta < 0 ||
      offset_delta > batch->last_offset_delta)
    return false;
  out->offset = batch->base_offset + offset_delta;
  out->timestamp =
      tsh_batch_is(batch, TSH_BATCH_APPEND_TIME)
          ? batch->max_timestamp
          : (int64_t)((uint64_t)batch->base_timestamp + (uint64_t)time_delta);
  out->header_count = (int32_t)headers;
  out->headers = at;
  out->headers_size = (size_t)(end - at);
  return true;
}

int tsh_records_next(tsh_records *records, tsh_record *out, tsh_err *err) {
  if (records->left == 0)
    return records->at == records->end ? 0 : broken(err, records);
  int64_t length;
  const uint8_t *at = tsh_batch__get_varint(records->at, records->end, &length);
  if (at == NULL || length < 0 || length > records->end - at ||
      !parse(&records->batch, at, at + length, out))
    return broken(err, records);
  records->at = at + length;
  records->left--;
  return 1;
}

int tsh_record_header(const tsh_record *record, const uint8_t **at,
                      tsh_header *out, tsh_err *err) {
  const uint8_t *end = record->headers + record->headers_size;
  if (*at == end)
    return 0;
  *at = get_bytes(*at, end, &out->name, &out->name_size);
  if (*at != NULL && out->name == NULL)
    *at = NULL; /* a name is never null */
  if (*at != NULL)
    *at = get_bytes(*at, end, &out->value, &out->value_size);
  if (*at == NULL)
    return tsh_batch__bad(err, KAFKA_INVALID_RECORD,
                          "headers of a record do not parse");
  return 1;
}
