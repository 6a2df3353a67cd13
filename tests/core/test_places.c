/* Positions of many partitions, and rows of text that hold them. */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tranship/places.h"

/* Partition 0 of "a": 100..109 lie at 50..59, 120..129 at 60..69, passed 140;
 * of "b" (called "x.b" there): 0..9 at 0..9. */
static tsh_places *make(bool back, bool records, int64_t first_there) {
  tsh_places *places = tsh_places_new(back, records);
  tsh_offsets *map = tsh_offsets_new(100, 50);
  tsh_offsets_append(map, 100, 50, 10, NULL);
  tsh_offsets_append(map, 120, 60, 10, NULL);
  tsh_offsets_reach(map, 140, 70);
  tsh_place_part part = {.topic = "a",
                         .topic_there = "a",
                         .map = map,
                         .first_there = first_there,
                         .foreign = 200,
                         .foreign_end = 210};
  assert_int_equal(tsh_places_add(places, &part, NULL), 0);
  map = tsh_offsets_new(0, 0);
  tsh_offsets_append(map, 0, 0, 10, NULL);
  part = (tsh_place_part){.topic = back ? "x.b" : "b",
                          .topic_there = back ? "b" : "x.b",
                          .partition = 3,
                          .map = map};
  assert_int_equal(tsh_places_add(places, &part, NULL), 0);
  return places;
}

static void answer_is(const tsh_places *places, const char *topic,
                      int64_t partition, int64_t offset, tsh_place how,
                      int64_t want) {
  tsh_place_answer got =
      tsh_places_find(places, topic, strlen(topic), partition, offset);
  assert_int_equal(got.how, how);
  if (how <= TSH_PLACE_END)
    assert_int_equal(got.offset, want);
}

static void a_place_is_exact_or_says_why(void **state) {
  (void)state;
  tsh_places *places = make(false, false, 52);
  answer_is(places, "a", 0, 105, TSH_PLACE_EXACT, 55);
  answer_is(places, "a", 0, 115, TSH_PLACE_HOLE, 60);
  answer_is(places, "a", 0, 130, TSH_PLACE_END, 70);
  answer_is(places, "a", 0, 140, TSH_PLACE_END, 70);
  answer_is(places, "a", 0, 141, TSH_PLACE_AHEAD, 0);
  answer_is(places, "a", 0, 99, TSH_PLACE_BELOW, 0);
  answer_is(places, "a", 0, 101, TSH_PLACE_GONE, 0);
  answer_is(places, "a", 0, 205, TSH_PLACE_FOREIGN, 0);
  answer_is(places, "a", 1, 5, TSH_PLACE_PARTITION, 0);
  answer_is(places, "c", 0, 5, TSH_PLACE_TOPIC, 0);
  answer_is(places, "b", 3, 9, TSH_PLACE_EXACT, 9);
  tsh_places_free(places);
  places = make(true, false, 0);
  answer_is(places, "a", 0, 60, TSH_PLACE_EXACT, 120);
  answer_is(places, "a", 0, 49, TSH_PLACE_BELOW, 0);
  answer_is(places, "x.b", 3, 4, TSH_PLACE_EXACT, 4);
  tsh_places_free(places);
}

static void what_was_left_out_is_told_from_what_never_was(void **state) {
  (void)state;
  tsh_places *places = tsh_places_new(false, false);
  for (int32_t i = 0; i < 2; i++) {
    tsh_place_part part = {.topic = "t",
                           .topic_there = "t",
                           .partition = i,
                           .map = tsh_offsets_new(100, 0),
                           .left_out = i == 1};
    assert_int_equal(tsh_places_add(places, &part, NULL), 0);
  }
  answer_is(places, "t", 0, 99, TSH_PLACE_BELOW, 0);
  answer_is(places, "t", 1, 99, TSH_PLACE_LEFT_OUT, 0);
  answer_is(places, "t", 1, 100, TSH_PLACE_END, 0);
  assert_false(tsh_places_is_given(places, TSH_PLACE_LEFT_OUT));
  assert_string_equal(tsh_place_name(TSH_PLACE_LEFT_OUT),
                      "below where copying began");
  tsh_places_free(places);
}

static void many_partitions_are_told_apart(void **state) {
  (void)state;
  tsh_places *places = tsh_places_new(false, false);
  char topic[16];
  for (int i = 0; i < 3000; i++) {
    snprintf(topic, sizeof topic, "t%d", i % 60);
    tsh_place_part part = {.topic = topic,
                           .topic_there = topic,
                           .partition = i / 60,
                           .map = tsh_offsets_new(i, 2 * i)};
    assert_int_equal(tsh_places_add(places, &part, NULL), 0);
  }
  for (int i = 0; i < 3000; i++) {
    snprintf(topic, sizeof topic, "t%d", i % 60);
    answer_is(places, topic, i / 60, i, TSH_PLACE_END, 2 * i);
  }
  answer_is(places, "t0", 50, 0, TSH_PLACE_PARTITION, 0);
  tsh_places_free(places);
}

/* The same text whole, and byte by byte. */
static void rows_become(const tsh_rows_spec *spec, bool records,
                        const char *text, const char *want) {
  for (int pieces = 0; pieces < 2; pieces++) {
    tsh_err err = {0};
    tsh_rows *rows = tsh_rows_new(spec, make(false, records, 0), &err);
    tsh_buf out;
    size_t length = strlen(text);
    tsh_buf_init(&out, 1 << 20);
    for (size_t i = 0; pieces && i < length; i++)
      assert_int_equal(tsh_rows_feed(rows, text + i, 1, false, &out, &err), 0);
    assert_int_equal(
        tsh_rows_feed(rows, text, pieces ? 0 : length, true, &out, &err), 0);
    assert_string_equal(tsh_buf_text(&out), want);
    tsh_buf_fini(&out);
    tsh_rows_free(rows);
  }
}

static void csv_keeps_all_but_the_position(void **state) {
  (void)state;
  tsh_rows_spec spec = {.delimiter = ',',
                        .topic = "topic",
                        .partition = "part",
                        .offset = "pos",
                        .all_partition = -1};
  rows_become(&spec, false,
              "id,pos,\"topic\",part,text\r\n"
              "1,105,a,0,\"x, \"\"y\"\"\nz\"\r\n"
              "2,\"9\",\"b\",3, spaced \r\n"
              "\r\n"
              "3,141,a,0,late\n"
              "4,what,a,0,\n"
              "5,115,a,0",
              "id,pos,\"topic\",part,text\r\n"
              "1,55,a,0,\"x, \"\"y\"\"\nz\"\r\n"
              "2,\"9\",\"x.b\",3, spaced \r\n"
              "\r\n"
              "3,,a,0,late\n"
              "4,,a,0,\n"
              "5,60,a,0");
  spec.note = "how";
  rows_become(&spec, true, "topic,part,pos\na,0,115\na,0,120\r\n",
              "topic,part,pos,how\na,0,,hole\na,0,60,exact\r\n");
}

static void columns_may_be_numbers(void **state) {
  (void)state;
  tsh_rows_spec spec = {.delimiter = '\t',
                        .no_head = true,
                        .offset = "2",
                        .all_topic = "a",
                        .all_partition = 0};
  rows_become(&spec, false, "x\t100\ny\t120\n", "x\t50\ny\t60\n");
}

static void json_keeps_all_but_the_position(void **state) {
  (void)state;
  tsh_rows_spec spec = {.json = true,
                        .topic = "topic",
                        .partition = "partition",
                        .offset = "offset",
                        .all_partition = -1};
  rows_become(&spec, false,
              "{\"z\": {\"offset\":1}, \"topic\" : \"a\",\"partition\":0, "
              "\"offset\" :105 }\n"
              "{\"topic\":\"b\",\"partition\":3,\"offset\":\"7\"}\n"
              "{\"topic\":\"c\",\"partition\":3,\"offset\":\"7\"}\n"
              "[ {\"k\":\"{[\\\"\",\"offset\":120,\"partition\":0,"
              "\"topic\":\"a\"} , 3]\n",
              "{\"z\": {\"offset\":1}, \"topic\" : \"a\",\"partition\":0, "
              "\"offset\" :55 }\n"
              "{\"topic\":\"x.b\",\"partition\":3,\"offset\":\"7\"}\n"
              "{\"topic\":\"c\",\"partition\":3,\"offset\":null}\n"
              "[ {\"k\":\"{[\\\"\",\"offset\":60,\"partition\":0,"
              "\"topic\":\"a\"} , 3]\n");
}

/* What GET /connectors/NAME/offsets of Kafka Connect answers. */
static void nested_json_is_found_by_paths(void **state) {
  (void)state;
  tsh_rows_spec spec = {.json = true,
                        .topic = "partition.kafka_topic",
                        .partition = "partition.kafka_partition",
                        .offset = "offset.kafka_offset",
                        .all_partition = -1,
                        .note = "how"};
  rows_become(&spec, false,
              "{\"offsets\":[\n {\"partition\":{\"kafka_partition\":0,"
              "\"kafka_topic\":\"a\"},\"offset\":{\"kafka_offset\":121}}]}",
              "{\"offsets\":[\n {\"partition\":{\"kafka_partition\":0,"
              "\"kafka_topic\":\"a\"},\"offset\":{\"kafka_offset\":61}"
              ",\"how\":\"exact\"}]}");
}

static void refused(const tsh_rows_spec *spec, const char *text,
                    const char *why) {
  tsh_err err = {0};
  tsh_rows *rows = tsh_rows_new(spec, make(false, false, 0), &err);
  tsh_buf out;
  tsh_buf_init(&out, 1 << 20);
  assert_int_equal(tsh_rows_feed(rows, text, strlen(text), true, &out, &err),
                   TSH_INVALID);
  assert_non_null(strstr(err.message, why));
  tsh_buf_fini(&out);
  tsh_rows_free(rows);
}

static void what_cannot_be_meant_is_refused(void **state) {
  (void)state;
  tsh_rows_spec spec = {.delimiter = ',',
                        .topic = "topic",
                        .partition = "partition",
                        .offset = "position",
                        .all_partition = -1};
  refused(&spec, "topic,partition,offset\n", "no column 'position'");
  spec.json = true;
  refused(&spec, "{\"topic\":\"a\",\"partition\":0,\"offset\":1}",
          "no object has a field 'position'");
  refused(&spec, "{\"topic\":\"a\",", "ends within an object");
  char deep[600];
  memset(deep, 0, sizeof deep);
  for (int i = 0; i < 80; i++)
    memcpy(deep + 5 * i, "{\"a\":", 5);
  deep[400] = '1';
  memset(deep + 401, '}', 80);
  refused(&spec, deep, "deep");
}

static void descriptors_pass_and_are_counted(void **state) {
  (void)state;
  tsh_rows_spec spec = {.delimiter = ',',
                        .topic = "t",
                        .partition = "p",
                        .offset = "o",
                        .all_partition = -1};
  tsh_rows *rows = tsh_rows_new(&spec, make(false, false, 0), NULL);
  FILE *in = tmpfile(), *out = tmpfile();
  fputs("t,p,o\n", in);
  for (int i = 0; i < 50000; i++)
    fprintf(in, "a,0,%d\n", 95 + i % 15);
  fflush(in);
  rewind(in);
  tsh_err err = {0};
  assert_int_equal(tsh_rows_pass(rows, fileno(in), fileno(out), &err), 0);
  const tsh_rows_told *told = tsh_rows_what(rows);
  assert_int_equal(told->count[TSH_PLACE_EXACT] + told->count[TSH_PLACE_BELOW],
                   50000);
  assert_int_equal(told->refused_count, TSH_ROWS_SHOWN);
  assert_int_equal(told->refused[5].row, 16);
  rewind(out);
  char line[64];
  for (int i = -1; i < 50000; i++) {
    char want[64];
    assert_non_null(fgets(line, sizeof line, out));
    if (i % 15 >= 5)
      snprintf(want, sizeof want, "a,0,%d\n", 50 + i % 15 - 5);
    else
      snprintf(want, sizeof want, i < 0 ? "t,p,o\n" : "a,0,\n");
    assert_string_equal(line, want);
  }
  fclose(in);
  fclose(out);
  tsh_rows_free(rows);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_place_is_exact_or_says_why),
      cmocka_unit_test(what_was_left_out_is_told_from_what_never_was),
      cmocka_unit_test(many_partitions_are_told_apart),
      cmocka_unit_test(csv_keeps_all_but_the_position),
      cmocka_unit_test(columns_may_be_numbers),
      cmocka_unit_test(json_keeps_all_but_the_position),
      cmocka_unit_test(nested_json_is_found_by_paths),
      cmocka_unit_test(what_cannot_be_meant_is_refused),
      cmocka_unit_test(descriptors_pass_and_are_counted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
