/* Fuzzing of everything that opens a source's batches: headers, codecs,
 * records and their headers, transactions' filters, merging, stamping, and
 * messages of the formats before.
 *
 * The first byte chooses how the rest is read: as batches, or as a recipe for
 * two that lie together, of any codec, with some bytes spoilt afterwards; and
 * how much is repaired, since lengths and checksums that hold let the fuzzer
 * reach what lies behind them. Whatever the bytes are, a function gives a
 * result or a kind of error; what it points to can be read; and what it makes
 * of them holds. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "tranship/batch.h"

enum {
  REPAIR_LENGTH = 1,
  REPAIR_CRC = 2,
  REPAIR_MAGIC = 4,
  VERIFY = 8,
  BUILD = 16,
  OLD = 32, /* messages of the formats before, after REPAIR_* of theirs */
  EXPAND_LIMIT = 1 << 20,
  MOST_BATCHES = 8
};

static void need(int is_true) {
  if (!is_true)
    abort();
}

static volatile unsigned sum;

static void touch(const void *bytes, size_t size) {
  const unsigned char *at = bytes;
  for (size_t i = 0; i < size; i++)
    sum = sum + at[i];
}

static void put32(uint8_t *at, uint32_t value) {
  for (int i = 3; i >= 0; i--, value >>= 8)
    at[i] = (uint8_t)value;
}

static void repair(uint8_t *bytes, size_t size, int what) {
  if (size < TSH_BATCH_HEADER)
    return;
  if (what & REPAIR_LENGTH)
    put32(bytes + 8, (uint32_t)size - 12);
  if (what & REPAIR_MAGIC)
    bytes[16] = 2;
  if (what & REPAIR_CRC)
    put32(bytes + 17,
          tsh_crc32c(0, bytes + TSH_BATCH_CRC_FROM, size - TSH_BATCH_CRC_FROM));
}

static void repair_old(uint8_t *bytes, size_t size, int what) {
  if (size < 18)
    return;
  if (what & REPAIR_LENGTH)
    put32(bytes + 8, (uint32_t)size - 12);
  if (what & REPAIR_MAGIC)
    bytes[16] &= 1;
  if (what & REPAIR_CRC)
    put32(bytes + 12, (uint32_t)crc32(0, bytes + 16, (uInt)size - 16));
}

static void read_headers(const tsh_record *record) {
  const uint8_t *at = record->headers;
  tsh_header header;
  int status;
  while ((status = tsh_record_header(record, &at, &header, NULL)) == 1) {
    touch(header.name, header.name_size);
    touch(header.value, header.value ? header.value_size : 0);
  }
  need(status == 0 || status == TSH_PROTOCOL);
}

/* How many records it holds, or -1 if they do not parse. */
static int read_records(tsh_records *records, const tsh_batch *batch) {
  tsh_record record;
  int status = tsh_records_open(records, batch, EXPAND_LIMIT, NULL), count = 0;
  while (status == 0 &&
         (status = tsh_records_next(records, &record, NULL)) == 1) {
    touch(record.key, record.key ? record.key_size : 0);
    touch(record.value, record.value ? record.value_size : 0);
    touch(record.headers, record.headers_size);
    read_headers(&record);
    count++;
    status = 0;
  }
  need(status == 0 || status == TSH_PROTOCOL || status == TSH_LIMIT);
  need(status != 0 || count == batch->count);
  return status == 0 ? count : -1;
}

/* A stamped batch is one that a broker takes: it reads and checks again. */
static void stamp(const tsh_batch *batch, bool verify) {
  static const tsh_stamp ours = {4711, 3, 17, false};
  uint8_t *copy = malloc(batch->size);
  tsh_batch again;
  need(copy != NULL);
  memcpy(copy, batch->bytes, batch->size);
  bool held = tsh_batch_check(batch, NULL) == 0;
  if (tsh_batch_stamp(copy, batch->size, &ours, verify, NULL) == 0) {
    need(tsh_batch_read(&again, copy, batch->size, NULL) == 1);
    need(again.base_offset == 0 && again.producer_id == 4711);
    need((tsh_batch_check(&again, NULL) == 0) == held);
  } else {
    need(memcmp(copy, batch->bytes, batch->size) == 0);
  }
  free(copy);
}

/* What was merged holds and has the records of all that went into it. */
static void merge(tsh_records *records, const tsh_batch *list, size_t count) {
  uint8_t *bytes = NULL;
  size_t size = 0, fit = 1;
  while (fit < count && tsh_batch_merges(&list[fit - 1], &list[fit]))
    fit++;
  size_t merged =
      fit < 2 ? 0 : tsh_batch_merge(list, fit, EXPAND_LIMIT, &bytes, &size);
  if (merged == 0)
    return;
  tsh_batch made;
  int64_t total = 0;
  for (size_t i = 0; i < merged; i++)
    total += list[i].count;
  need(merged >= 2 && size <= EXPAND_LIMIT);
  need(tsh_batch_read(&made, bytes, size, NULL) == 1 && made.size == size);
  need(tsh_batch_check(&made, NULL) == 0 && made.count == total);
  (void)read_records(records, &made); /* headers of records may be broken */
  free(bytes);
}

typedef struct input {
  const uint8_t *at, *end;
} input;

static uint8_t take(input *in) { return in->at < in->end ? *in->at++ : 0; }

/* Up to 15 bytes, or NULL for a null. */
static const uint8_t *take_bytes(input *in, size_t *size) {
  size_t wanted = take(in) & 31, left = (size_t)(in->end - in->at);
  if (wanted > 15)
    return NULL;
  *size = wanted < left ? wanted : left;
  in->at += *size;
  return in->at - *size;
}

/* Appends a batch of records that the input describes. */
static size_t build(input *in, uint8_t **bytes, size_t size, int64_t base) {
  static const tsh_stamp nobody = {-1, -1, -1, false};
  tsh_builder builder;
  uint8_t *made;
  size_t made_size;
  tsh_codec codec = take(in) % 5;
  int count = 1 + take(in) % 8;
  tsh_builder_init(&builder);
  for (int i = 0; i < count; i++) {
    tsh_record record = {.timestamp = (int64_t)take(in) << (take(in) % 56)};
    record.key = take_bytes(in, &record.key_size);
    record.value = take_bytes(in, &record.value_size);
    need(tsh_builder_add(&builder, &record, NULL) == 0);
  }
  need(tsh_builder_finish(&builder, codec, &nobody, &made, &made_size, NULL) ==
       0);
  tsh_builder_fini(&builder);
  put32(made, (uint32_t)(base >> 32));
  put32(made + 4, (uint32_t)base);
  *bytes = realloc(*bytes, size + made_size);
  need(*bytes != NULL);
  memcpy(*bytes + size, made, made_size);
  free(made);
  return size + made_size;
}

static size_t build_two(input *in, uint8_t **bytes) {
  tsh_batch first;
  size_t size = build(in, bytes, 0, 0);
  need(tsh_batch_read(&first, *bytes, size, NULL) == 1);
  size = build(in, bytes, size, tsh_batch_next_offset(&first));
  while (in->end - in->at >= 2) {
    size_t place = take(in);
    (*bytes)[place % size] ^= take(in);
  }
  return size;
}

static void read_all(const uint8_t *bytes, size_t size, bool verify) {
  tsh_batch list[MOST_BATCHES];
  tsh_records records;
  tsh_aborted aborted;
  size_t count = 0, at = 0;
  tsh_records_init(&records);
  tsh_aborted_init(&aborted);
  tsh_aborted_add(&aborted, 4711, 0, NULL);
  while (count < MOST_BATCHES) {
    int status = tsh_batch_read(&list[count], bytes + at, size - at, NULL);
    need(status == 1 || status == 0 || status == TSH_PROTOCOL);
    if (status != 1)
      break;
    at += list[count].size;
    need(at <= size);
    tsh_aborted_skips(&aborted, &list[count], NULL);
    read_records(&records, &list[count]);
    stamp(&list[count], verify);
    count++;
  }
  merge(&records, list, count);
  tsh_aborted_fini(&aborted);
  tsh_records_fini(&records);
}

/* What old messages become holds, and lies where they say. */
static void read_old(const uint8_t *bytes, size_t size) {
  tsh_legacy legacy;
  tsh_records records;
  tsh_batch batch;
  size_t at = 0, used = 0, first = 0;
  int64_t next;
  tsh_legacy_init(&legacy);
  tsh_records_init(&records);
  while (tsh_legacy_is(bytes + at, size - at)) {
    int status = tsh_legacy_read(&legacy, bytes + at, size - at, EXPAND_LIMIT,
                                 &batch, &used, NULL);
    need(status == 1 || status == 0 || status == TSH_PROTOCOL ||
         status == TSH_LIMIT);
    if (status != 1)
      break;
    need(used > 0 && used <= size - at && batch.count > 0);
    need(tsh_batch_span(bytes + at, size - at, &next, &first, NULL) == 1);
    need(first <= used);
    need(tsh_batch_check(&batch, NULL) == 0);
    need(read_records(&records, &batch) == batch.count);
    at += used;
  }
  tsh_records_fini(&records);
  tsh_legacy_fini(&legacy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, data + size};
  uint8_t *bytes = NULL;
  int how = take(&in);
  if (how & BUILD) {
    size = build_two(&in, &bytes);
  } else {
    size = (size_t)(in.end - in.at);
    bytes = malloc(size ? size : 1); /* no byte beyond */
    need(bytes != NULL);
    memcpy(bytes, in.at, size);
    if (how & OLD)
      repair_old(bytes, size, how);
    else
      repair(bytes, size, how);
  }
  if (how & OLD)
    read_old(bytes, size);
  else
    read_all(bytes, size, how & VERIFY);
  free(bytes);
  return 0;
}
