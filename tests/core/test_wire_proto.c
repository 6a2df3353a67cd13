/* The table of messages: every message, version and direction survives the
 * way to bytes and back; what is cut off or scrambled fails and never harms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../vm/core/wire/bytes.h"
#include "wire_gen.h"

enum { SEEDS = 12 };

/* --- a reader that knows what must come ------------------------------------
 */

typedef struct check {
  gen *g;
  int64_t index[16]; /* next item of the open lists; -1: not in a list */
  int64_t count[16];
  int depth;
  int values;
} check;

static int64_t item(check *c, const tsh_field *field) {
  if (!field || !field->list)
    return -1;
  assert_true(c->depth > 0);
  return c->index[c->depth - 1]++;
}

static void see_list(void *user, const tsh_field *field, int64_t count) {
  check *c = user;
  assert_int_equal(count, gen_count(c->g, field));
  c->index[c->depth] = 0;
  c->count[c->depth++] = count;
  c->values++;
}

static void see_list_end(void *user, const tsh_field *field) {
  check *c = user;
  (void)field;
  c->depth--;
  assert_int_equal(c->index[c->depth],
                   c->count[c->depth] < 0 ? 0 : c->count[c->depth]);
}

static void see_open(void *user, const tsh_field *field) { item(user, field); }

static void see_value(void *user, const tsh_field *field,
                      const tsh_value *value) {
  check *c = user;
  tsh_value want;
  int64_t index = item(c, field);
  c->values++;
  if (field->type == TSH_F_STRUCT) {
    assert_true(value->null && gen_null(c->g, field));
    return;
  }
  gen_value(c->g, field, index, &want);
  assert_int_equal(value->null, want.null);
  assert_int_equal(value->integer, want.integer);
  assert_true(value->real == want.real);
  assert_int_equal(value->bytes.size, want.bytes.size);
  if (want.bytes.size)
    assert_memory_equal(value->bytes.data, want.bytes.data, want.bytes.size);
}

static const tsh_visitor blind;

static void every(void (*test)(const tsh_message *msg, bool response,
                               int16_t version, gen *g)) {
  const tsh_message *msg;
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++)
    for (int16_t v = msg->min; v <= msg->max; v++)
      for (uint64_t n = 0; n < 2 * SEEDS; n++) {
        gen g = {.seed = n, .version = v};
        test(msg, n & 1, v, &g);
      }
}

static struct iovec encode(const tsh_message *msg, bool response,
                           int16_t version, gen *g) {
  struct iovec out;
  tsh_err err = {0};
  tsh_source source = gen_source(g);
  if (tsh_message_encode(msg, response, version, &source, &out, &err) != 0)
    fail_msg("%s", err.message);
  return out;
}

static void round_trip(const tsh_message *msg, bool response, int16_t version,
                       gen *g) {
  struct iovec bytes = encode(msg, response, version, g);
  check c = {.g = g};
  tsh_visitor visitor = {&c, see_list, see_list_end, see_open, NULL, see_value};
  tsh_err err = {0};
  if (tsh_message_decode(msg, response, version, bytes.iov_base, bytes.iov_len,
                         &visitor, &err) != 0)
    fail_msg("%s", err.message);
  assert_int_equal(c.depth, 0);
  free(bytes.iov_base);
}

static void round_trips(void **state) {
  (void)state;
  every(round_trip);
}

/* Each shorter prefix breaks off, each longer one has too much. The bytes
 * stand at the end of their own block, so that ASAN sees one step too far. */
static void cut_off(const tsh_message *msg, bool response, int16_t version,
                    gen *g) {
  struct iovec bytes = encode(msg, response, version, g);
  size_t step = bytes.iov_len / 40 + 1;
  tsh_err err;
  for (size_t n = 0; n < bytes.iov_len; n += step) {
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, bytes.iov_base, n);
    assert_int_equal(
        tsh_message_decode(msg, response, version, copy, n, &blind, &err),
        TSH_PROTOCOL);
    assert_non_null(strstr(err.message, msg->name));
    free(copy);
  }
  uint8_t *more = calloc(1, bytes.iov_len + 1);
  if (bytes.iov_len)
    memcpy(more, bytes.iov_base, bytes.iov_len);
  assert_int_equal(tsh_message_decode(msg, response, version, more,
                                      bytes.iov_len + 1, &blind, &err),
                   TSH_PROTOCOL);
  free(more);
  free(bytes.iov_base);
}

static void cuts(void **state) {
  (void)state;
  every(cut_off);
}

static void scramble(const tsh_message *msg, bool response, int16_t version,
                     gen *g) {
  struct iovec bytes = encode(msg, response, version, g);
  uint8_t *at = bytes.iov_base;
  uint64_t x = g->seed + 1;
  for (int i = 0; i < 20 && bytes.iov_len; i++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    at[(x >> 33) % bytes.iov_len] = x & 64 ? 0xff : (uint8_t)(x >> 20);
    int status = tsh_message_decode(msg, response, version, at, bytes.iov_len,
                                    &blind, NULL);
    assert_true(status == 0 || status == TSH_PROTOCOL);
  }
  free(bytes.iov_base);
}

static void scrambles(void **state) {
  (void)state;
  every(scramble);
}

/* --- rules of the table ----------------------------------------------------
 */

static void check_fields(const tsh_field *fields) {
  int tag = 0;
  for (const tsh_field *f = fields; f->name; f++) {
    for (const tsh_field *g = f + 1; g->name; g++)
      assert_string_not_equal(f->name, g->name);
    assert_true(!f->gone || f->gone > f->since);
    if (f->tag)
      assert_true(f->tag > tag);
    if (f->tag)
      tag = f->tag;
    assert_true((f->type == TSH_F_STRUCT) == (f->fields != NULL));
    if (f->fields)
      check_fields(f->fields);
  }
}

static void table(void **state) {
  (void)state;
  const tsh_message *msg;
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++) {
    assert_ptr_equal(tsh_message_of(msg->api_key), msg);
    assert_ptr_equal(tsh_message_find(msg->name), msg);
    assert_true(msg->min <= msg->version && msg->version <= msg->max);
    check_fields(msg->request);
    check_fields(msg->response);
  }
  assert_null(tsh_message_find("NoSuchMessage"));
  assert_null(tsh_message_of(-1));
}

/* The class decides what a read-only connection lets pass. */
static void classes(void **state) {
  (void)state;
  const char *writers[] = {
      "Produce",   "DeleteRecords",   "InitProducerId",    "AddPartitionsToTxn",
      "EndTxn",    "WriteTxnMarkers", "AlterClientQuotas", "JoinGroup",
      "SyncGroup", "Heartbeat",       "LeaveGroup"};
  const tsh_message *msg;
  size_t found = 0, all = sizeof writers / sizeof *writers;
  for (size_t i = 0; i < all; i++)
    assert_true(tsh_message_find(writers[i])->writes);
  for (size_t i = 0; (msg = tsh_message_at(i)) != NULL; i++)
    found += msg->writes;
  assert_int_equal(found, all);
}

/* --- bytes as Kafka has them ------------------------------------------------
 */

static int no_enter(void *user, const tsh_field *field, int64_t index,
                    int64_t *count, tsh_err *err) {
  (void)user, (void)field, (void)index, (void)count, (void)err;
  return 0;
}

typedef struct one {
  const char *name;
  tsh_value value;
} one;

static int one_value(void *user, const tsh_field *field, int64_t index,
                     tsh_value *out, tsh_err *err) {
  one *o = user;
  (void)index, (void)err;
  if (strcmp(field->name, o->name) != 0)
    return 0;
  *out = o->value;
  return 1;
}

static void expect(const char *name, int16_t version, one o, const char *bytes,
                   size_t size) {
  tsh_source source = {&o, no_enter, NULL, one_value};
  struct iovec out;
  assert_int_equal(tsh_message_encode(tsh_message_find(name), false, version,
                                      &source, &out, NULL),
                   0);
  assert_int_equal(out.iov_len, size);
  assert_memory_equal(out.iov_base, bytes, size);
  free(out.iov_base);
}

static void known_bytes(void **state) {
  (void)state;
  one id = {"TransactionalId", {.bytes = {"tx", 2}}};
  expect("InitProducerId", 1, id, "\0\2tx\0\0\0\0", 8);
  expect("InitProducerId", 2, id, "\3tx\0\0\0\0\0", 8);
  expect("InitProducerId", 4, id,
         "\3tx\0\0\0\0\377\377\377\377\377\377\377\377\377\377\0", 18);
  one none = {"", {0}};
  expect("InitProducerId", 1, none, "\377\377\0\0\0\0", 6);
  /* All topics, none created, no operations. */
  expect("Metadata", 9, none, "\0\0\0\0\0", 5);
  expect("Metadata", 12, none, "\0\0\0\0", 4);
  one cursor = {"ResponsePartitionLimit", {.integer = 7}};
  expect("DescribeTopicPartitions", 0, cursor, "\1\0\0\0\7\377\0", 7);
}

static void refused_values(void **state) {
  (void)state;
  const struct {
    const char *message, *words;
    int16_t version;
    one value;
  } cases[] = {
      {"EndTxn",
       "ProducerEpoch is out of its range",
       1,
       {"ProducerEpoch", {.integer = 40000}}},
      {"EndTxn",
       "Committed is out of its range",
       1,
       {"Committed", {.integer = 2}}},
      {"EndTxn",
       "TransactionalId may not be null",
       1,
       {"TransactionalId", {.null = true}}},
      {"EndTxn",
       "TransactionalId is too long",
       1,
       {"TransactionalId", {.bytes = {"x", 40000}}}},
      {"InitProducerId",
       "ProducerEpoch is not in this version",
       1,
       {"ProducerEpoch", {.integer = 4}}},
      {"Metadata",
       "AllowAutoTopicCreation is never asked for",
       12,
       {"AllowAutoTopicCreation", {.integer = 1}}},
      {"EndTxn", "has no version 77", 77, {"", {0}}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    one o = cases[i].value;
    tsh_source source = {&o, no_enter, NULL, one_value};
    struct iovec out;
    tsh_err err = {0};
    assert_int_equal(tsh_message_encode(tsh_message_find(cases[i].message),
                                        false, cases[i].version, &source, &out,
                                        &err),
                     TSH_INVALID);
    if (!strstr(err.message, cases[i].words))
      fail_msg("%s", err.message);
    assert_null(out.iov_base);
  }
}

/* Tagged fields of a later Kafka are passed over, at every level. */
static void unknown_tags(void **state) {
  (void)state;
  const char bytes[] = "\0\0\0\0"
                       "\2"
                       "\2t"
                       "\1"
                       "\1\77\3abc"
                       "\2\1\1x\100\0";
  assert_int_equal(tsh_message_decode(tsh_message_find("DescribeProducers"),
                                      true, 0, bytes, sizeof bytes - 1, &blind,
                                      NULL),
                   0);
}

static void uvarints(void **state) {
  (void)state;
  const uint32_t values[] = {
      0, 1, 127, 128, 16383, 16384, 1u << 28, UINT32_MAX - 1, UINT32_MAX};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    uint8_t bytes[8];
    tsh_out out = {bytes, 0};
    tsh_out_uvarint(&out, values[i]);
    tsh_in in = tsh_in_of(bytes, out.size);
    assert_int_equal(tsh_in_uvarint(&in), values[i]);
    assert_true(!in.bad && tsh_in_left(&in) == 0);
    in = tsh_in_of(bytes, out.size - 1);
    tsh_in_uvarint(&in);
    assert_true(in.bad);
  }
  const char *wrong[] = {"\377\377\377\377\37", "\200\200\200\200\200\1"};
  for (size_t i = 0; i < 2; i++) {
    tsh_in in = tsh_in_of(wrong[i], strlen(wrong[i]));
    tsh_in_uvarint(&in);
    assert_true(in.bad);
  }
}

static void errors(void **state) {
  (void)state;
  bool retriable;
  assert_string_equal(tsh_kafka_error_name(45), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  assert_string_equal(tsh_kafka_error_name(87), "INVALID_RECORD");
  assert_string_equal(tsh_kafka_error_name(100), "UNKNOWN_TOPIC_ID");
  assert_string_equal(tsh_kafka_error_name(-1), "UNKNOWN_SERVER_ERROR");
  assert_null(tsh_kafka_error_name(9999));
  assert_int_equal(tsh_kafka_error_kind(6, &retriable), TSH_UNAVAILABLE);
  assert_true(retriable);
  assert_int_equal(tsh_kafka_error_kind(31, &retriable), TSH_DENIED);
  assert_false(retriable);
  assert_int_equal(tsh_kafka_error_kind(9999, NULL), TSH_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trips),    cmocka_unit_test(cuts),
      cmocka_unit_test(scrambles),      cmocka_unit_test(table),
      cmocka_unit_test(classes),        cmocka_unit_test(known_bytes),
      cmocka_unit_test(refused_values), cmocka_unit_test(unknown_tags),
      cmocka_unit_test(uvarints),       cmocka_unit_test(errors)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
