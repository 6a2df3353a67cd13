/* The fast paths of Fetch and Produce against the table of messages: what one
 * writes the other reads, field by field; broken answers fail cleanly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire_gen.h"

enum { SEEDS = 60 };

/* --- requests: what the table reads from them, as text -----------------------
 */

typedef struct story {
  char text[2048];
  size_t size;
} story;

static void tell(void *user, const tsh_field *field, const tsh_value *value) {
  story *s = user;
  char *at = s->text + s->size;
  size_t room = sizeof s->text - s->size;
  int n;
  if (value->null)
    n = snprintf(at, room, "%s=null ", field->name);
  else if (field->type == TSH_F_UUID)
    n = snprintf(at, room, "%s=%02x ", field->name,
                 (uint8_t)value->bytes.data[15]);
  else if (field->type >= TSH_F_TEXT)
    n = snprintf(at, room, "%s=%.*s ", field->name, (int)value->bytes.size,
                 value->bytes.data);
  else
    n = snprintf(at, room, "%s=%lld ", field->name, (long long)value->integer);
  s->size += (size_t)n;
  assert_true(s->size < sizeof s->text);
}

static void expect_story(int16_t api_key, int16_t version, const void *data,
                         size_t size, const char *want) {
  story s = {.size = 0};
  tsh_visitor visitor = {.user = &s, .value = tell};
  tsh_err err = {0};
  if (tsh_message_decode(tsh_message_of(api_key), false, version, data, size,
                         &visitor, &err) != 0)
    fail_msg("%s", err.message);
  assert_string_equal(s.text, want);
}

static tsh_text text(const char *t) { return (tsh_text){t, strlen(t)}; }

static void fetch_request(void **state) {
  (void)state;
  tsh_fetch_limits limits = {.max_wait_ms = 50,
                             .min_bytes = 1,
                             .max_bytes = 9000000,
                             .committed = true};
  tsh_fetch_want wants[] = {{.topic = text("a"),
                             .topic_id = {[15] = 1},
                             .partition = 0,
                             .leader_epoch = 3,
                             .last_epoch = 2,
                             .offset = 1ll << 53,
                             .max_bytes = 77},
                            {.topic = text("a"),
                             .topic_id = {[15] = 1},
                             .partition = 5,
                             .leader_epoch = -1,
                             .last_epoch = -1,
                             .offset = 8,
                             .max_bytes = 78},
                            {.topic = text("b"),
                             .topic_id = {[15] = 2},
                             .partition = 1,
                             .leader_epoch = 4,
                             .last_epoch = 4,
                             .offset = 9,
                             .max_bytes = 79}};
  const char *want[] = {
      "ReplicaId=-1 MaxWaitMs=50 MinBytes=1 MaxBytes=9000000 IsolationLevel=1 "
      "SessionId=0 SessionEpoch=-1 "
      "Topic=a Partition=0 CurrentLeaderEpoch=3 FetchOffset=9007199254740992 "
      "LogStartOffset=-1 PartitionMaxBytes=77 "
      "Partition=5 CurrentLeaderEpoch=-1 FetchOffset=8 "
      "LogStartOffset=-1 PartitionMaxBytes=78 "
      "Topic=b Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LogStartOffset=-1 PartitionMaxBytes=79 RackId= ",
      "ReplicaId=-1 MaxWaitMs=50 MinBytes=1 MaxBytes=9000000 IsolationLevel=1 "
      "SessionId=0 SessionEpoch=-1 "
      "Topic=a Partition=0 CurrentLeaderEpoch=3 FetchOffset=9007199254740992 "
      "LastFetchedEpoch=2 LogStartOffset=-1 PartitionMaxBytes=77 "
      "Partition=5 CurrentLeaderEpoch=-1 FetchOffset=8 "
      "LastFetchedEpoch=-1 LogStartOffset=-1 PartitionMaxBytes=78 "
      "Topic=b Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LastFetchedEpoch=4 LogStartOffset=-1 PartitionMaxBytes=79 RackId= ",
      "ReplicaId=-1 MaxWaitMs=50 MinBytes=1 MaxBytes=9000000 IsolationLevel=1 "
      "SessionId=0 SessionEpoch=-1 "
      "TopicId=01 Partition=0 CurrentLeaderEpoch=3 "
      "FetchOffset=9007199254740992 "
      "LastFetchedEpoch=2 LogStartOffset=-1 PartitionMaxBytes=77 "
      "Partition=5 CurrentLeaderEpoch=-1 FetchOffset=8 "
      "LastFetchedEpoch=-1 LogStartOffset=-1 PartitionMaxBytes=78 "
      "TopicId=02 Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LastFetchedEpoch=4 LogStartOffset=-1 PartitionMaxBytes=79 RackId= "};
  for (int16_t v = 11; v <= 13; v++) {
    struct iovec out;
    assert_int_equal(tsh_fetch_encode(v, &limits, wants, 3, &out, NULL), 0);
    expect_story(TSH_API_FETCH, v, out.iov_base, out.iov_len, want[v - 11]);
    free(out.iov_base);
  }
  /* In a session: one want is new, two are gone. */
  const tsh_fetch_session session = {77, 5, wants, 2};
  limits.session = &session;
  static const char *const news[] = {
      "Topic=b Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LogStartOffset=-1 PartitionMaxBytes=79 "
      "Topic=a Partitions=0 Partitions=5 RackId= ",
      "Topic=b Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LastFetchedEpoch=4 LogStartOffset=-1 PartitionMaxBytes=79 "
      "Topic=a Partitions=0 Partitions=5 RackId= ",
      "TopicId=02 Partition=1 CurrentLeaderEpoch=4 FetchOffset=9 "
      "LastFetchedEpoch=4 LogStartOffset=-1 PartitionMaxBytes=79 "
      "TopicId=01 Partitions=0 Partitions=5 RackId= "};
  for (int16_t v = 11; v <= 13; v++) {
    struct iovec out;
    char story[512] = "ReplicaId=-1 MaxWaitMs=50 MinBytes=1 MaxBytes=9000000 "
                      "IsolationLevel=1 SessionId=77 SessionEpoch=5 ";
    strcat(story, news[v - 11]);
    assert_int_equal(tsh_fetch_encode(v, &limits, &wants[2], 1, &out, NULL), 0);
    expect_story(TSH_API_FETCH, v, out.iov_base, out.iov_len, story);
    free(out.iov_base);
  }
  struct iovec out;
  assert_int_equal(tsh_fetch_encode(14, &limits, wants, 3, &out, NULL),
                   TSH_INVALID);
}

static void produce_request(void **state) {
  (void)state;
  char h[] = "head", b[] = "body", whole[] = "whole";
  tsh_produce_item items[] = {{.topic = text("a"),
                               .topic_id = {[15] = 1},
                               .partition = 0,
                               .head = {h, 4},
                               .body = {b, 4}},
                              {.topic = text("a"),
                               .topic_id = {[15] = 1},
                               .partition = 1,
                               .head = {whole, 5}},
                              {.topic = text("b"),
                               .topic_id = {[15] = 2},
                               .partition = 2,
                               .body = {whole, 5}}};
  for (int16_t v = 8; v <= 13; v++) {
    tsh_gather g;
    char want[512];
    assert_int_equal(
        tsh_produce_encode(v, v == 9 ? "tx" : NULL, 1000, items, 3, &g, NULL),
        0);
    char *flat = malloc(g.size);
    size_t size = 0;
    for (int i = 0; i < g.count; i++) {
      assert_true(g.parts[i].iov_len > 0);
      memcpy(flat + size, g.parts[i].iov_base, g.parts[i].iov_len);
      size += g.parts[i].iov_len;
    }
    assert_int_equal(size, g.size);
    snprintf(want, sizeof want,
             "TransactionalId=%s Acks=-1 TimeoutMs=1000 "
             "%s Index=0 Records=headbody Index=1 Records=whole "
             "%s Index=2 Records=whole ",
             v == 9 ? "tx" : "null", v < 13 ? "Name=a" : "TopicId=01",
             v < 13 ? "Name=b" : "TopicId=02");
    expect_story(TSH_API_PRODUCE, v, flat, size, want);
    free(flat);
    tsh_gather_free(&g);
  }
}

/* --- answers
 * ------------------------------------------------------------------ */

static int64_t number(gen *g, const tsh_field *fields, const char *path) {
  tsh_value value;
  const tsh_field *field = gen_find(fields, path);
  gen_value(g, field, -1, &value);
  return value.integer;
}

static void expect_text(gen *g, const tsh_field *fields, const char *path,
                        tsh_text got) {
  tsh_value value;
  gen_value(g, gen_find(fields, path), -1, &value);
  assert_int_equal(got.size, value.bytes.size);
  assert_int_equal(!got.data, value.null);
  if (got.size)
    assert_memory_equal(got.data, value.bytes.data, got.size);
}

#define AT "Responses/Partitions/"

static void expect_fetched(gen *g, const tsh_field *r, tsh_fetched *f) {
  int64_t id, first;
  bool diverging = gen_has(g, gen_find(r, AT "DivergingEpoch"));
  bool leader = gen_has(g, gen_find(r, AT "CurrentLeader"));
  const tsh_field *aborted = gen_find(r, AT "AbortedTransactions");
  assert_int_equal(f->partition, number(g, r, AT "PartitionIndex"));
  assert_int_equal(f->error, number(g, r, AT "ErrorCode"));
  assert_int_equal(f->high_watermark, number(g, r, AT "HighWatermark"));
  assert_int_equal(f->last_stable, number(g, r, AT "LastStableOffset"));
  assert_int_equal(f->log_start, number(g, r, AT "LogStartOffset"));
  assert_int_equal(f->diverging_epoch,
                   diverging ? number(g, r, AT "DivergingEpoch/Epoch") : -1);
  assert_int_equal(f->diverging_end,
                   diverging ? number(g, r, AT "DivergingEpoch/EndOffset")
                             : -1);
  assert_int_equal(f->leader_epoch,
                   leader ? number(g, r, AT "CurrentLeader/LeaderEpoch") : -1);
  expect_text(g, r, AT "Records",
              (tsh_text){(const char *)f->records, f->records_size});
  int64_t count = gen_count(g, aborted);
  for (int64_t i = 0; i < count; i++) {
    assert_true(tsh_fetched_aborted(f, &id, &first));
    assert_int_equal(id, number(g, r, AT "AbortedTransactions/ProducerId"));
    assert_int_equal(first, number(g, r, AT "AbortedTransactions/FirstOffset"));
  }
  assert_false(tsh_fetched_aborted(f, &id, &first));
}

static void fetch_response(void **state) {
  (void)state;
  const tsh_message *msg = tsh_message_of(TSH_API_FETCH);
  for (int16_t v = 11; v <= 13; v++)
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
      gen g = {.seed = seed, .version = v};
      tsh_source source = gen_source(&g);
      struct iovec out;
      tsh_fetch_iter iter;
      tsh_fetched f;
      int16_t error;
      int64_t parts = 0;
      int status;
      assert_int_equal(tsh_message_encode(msg, true, v, &source, &out, NULL),
                       0);
      assert_int_equal(
          tsh_fetch_open(&iter, v, out.iov_base, out.iov_len, &error, NULL), 0);
      assert_int_equal(error, number(&g, msg->response, "ErrorCode"));
      while ((status = tsh_fetch_next(&iter, &f, NULL)) == 1) {
        expect_fetched(&g, msg->response, &f);
        if (v < 13)
          expect_text(&g, msg->response, "Responses/Topic", f.topic);
        parts++;
      }
      assert_int_equal(status, 0);
      assert_int_equal(
          parts,
          gen_count(&g, gen_find(msg->response, "Responses")) *
              gen_count(&g, gen_find(msg->response, "Responses/Partitions")));
      free(out.iov_base);
    }
}

#undef AT
#define AT "Responses/PartitionResponses/"

static void expect_produced(gen *g, const tsh_field *r, tsh_produced *p) {
  bool leader = gen_has(g, gen_find(r, AT "CurrentLeader"));
  int64_t refused = gen_count(g, gen_find(r, AT "RecordErrors"));
  assert_int_equal(p->partition, number(g, r, AT "Index"));
  assert_int_equal(p->error, number(g, r, AT "ErrorCode"));
  assert_int_equal(p->base_offset, number(g, r, AT "BaseOffset"));
  assert_int_equal(p->append_time, number(g, r, AT "LogAppendTimeMs"));
  assert_int_equal(p->log_start, number(g, r, AT "LogStartOffset"));
  assert_int_equal(p->bad_record,
                   refused ? number(g, r, AT "RecordErrors/BatchIndex") : -1);
  assert_int_equal(p->leader_id,
                   leader ? number(g, r, AT "CurrentLeader/LeaderId") : -1);
  if (p->text.data && !gen_null(g, gen_find(r, AT "ErrorMessage")))
    expect_text(g, r, AT "ErrorMessage", p->text);
}

static void produce_response(void **state) {
  (void)state;
  const tsh_message *msg = tsh_message_of(TSH_API_PRODUCE);
  for (int16_t v = 8; v <= 13; v++)
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
      gen g = {.seed = seed, .version = v};
      tsh_source source = gen_source(&g);
      struct iovec out;
      tsh_produce_iter iter;
      tsh_produced p;
      int64_t parts = 0;
      int status;
      assert_int_equal(tsh_message_encode(msg, true, v, &source, &out, NULL),
                       0);
      assert_int_equal(
          tsh_produce_open(&iter, v, out.iov_base, out.iov_len, NULL), 0);
      while ((status = tsh_produce_next(&iter, &p, NULL)) == 1) {
        expect_produced(&g, msg->response, &p);
        parts++;
      }
      assert_int_equal(status, 0);
      assert_int_equal(
          parts, gen_count(&g, gen_find(msg->response, "Responses")) *
                     gen_count(&g, gen_find(msg->response,
                                            "Responses/PartitionResponses")));
      free(out.iov_base);
    }
}

/* Walks an answer to its end, reading what it points to. */
static int walk(int16_t api_key, int16_t version, uint8_t *data, size_t size) {
  volatile uint8_t sink = 0;
  int status;
  (void)sink;
  if (api_key == TSH_API_FETCH) {
    tsh_fetch_iter iter;
    tsh_fetched f;
    int16_t error;
    int64_t id, first;
    status = tsh_fetch_open(&iter, version, data, size, &error, NULL);
    while (status == 0 && (status = tsh_fetch_next(&iter, &f, NULL)) == 1) {
      for (size_t i = 0; i < f.records_size; i++)
        sink ^= f.records[i];
      while (tsh_fetched_aborted(&f, &id, &first)) {
      }
      status = 0;
      if (iter.topics == 0 && iter.parts == 0)
        break;
    }
    return status;
  }
  tsh_produce_iter iter;
  tsh_produced p;
  status = tsh_produce_open(&iter, version, data, size, NULL);
  while (status == 0 && (status = tsh_produce_next(&iter, &p, NULL)) == 1) {
    for (size_t i = 0; i < p.text.size; i++)
      sink ^= (uint8_t)p.text.data[i];
    status = 0;
    if (iter.topics == 0 && iter.parts == 0)
      break;
  }
  return status;
}

static void broken(int16_t api_key, int16_t version) {
  for (uint64_t seed = 0; seed < SEEDS; seed++) {
    gen g = {.seed = seed, .version = version};
    tsh_source source = gen_source(&g);
    struct iovec out;
    uint64_t x = seed + 1;
    assert_int_equal(tsh_message_encode(tsh_message_of(api_key), true, version,
                                        &source, &out, NULL),
                     0);
    for (size_t n = 0; n < out.iov_len; n += out.iov_len / 60 + 1) {
      uint8_t *copy = malloc(n ? n : 1);
      memcpy(copy, out.iov_base, n);
      int status = walk(api_key, version, copy, n);
      assert_true(status == 0 || status == TSH_PROTOCOL);
      free(copy);
    }
    for (int i = 0; i < 30; i++) {
      uint8_t *at = out.iov_base;
      x = x * 6364136223846793005u + 1442695040888963407u;
      at[(x >> 33) % out.iov_len] = x & 64 ? 0x7f : (uint8_t)(x >> 20);
      int status = walk(api_key, version, at, out.iov_len);
      assert_true(status == 0 || status == TSH_PROTOCOL);
    }
    free(out.iov_base);
  }
}

static void broken_answers(void **state) {
  (void)state;
  for (int16_t v = 11; v <= 13; v++)
    broken(TSH_API_FETCH, v);
  for (int16_t v = 8; v <= 13; v++)
    broken(TSH_API_PRODUCE, v);
  uint8_t bytes[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  int16_t error;
  tsh_fetch_iter iter;
  tsh_fetched f;
  tsh_err err;
  assert_int_equal(tsh_fetch_open(&iter, 11, bytes, sizeof bytes, &error, &err),
                   TSH_PROTOCOL); /* one topic, and nothing behind */
  assert_int_equal(tsh_fetch_open(&iter, 11, bytes, 13, &error, &err),
                   TSH_PROTOCOL);
  assert_non_null(strstr(err.message, "breaks off"));
  bytes[13] = 0;
  assert_int_equal(tsh_fetch_open(&iter, 11, bytes, sizeof bytes, &error, &err),
                   0);
  assert_int_equal(tsh_fetch_next(&iter, &f, &err), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fetch_request), cmocka_unit_test(produce_request),
      cmocka_unit_test(fetch_response), cmocka_unit_test(produce_response),
      cmocka_unit_test(broken_answers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
