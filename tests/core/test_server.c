/* The HTTP server: what it hands on, what it refuses, what it bounds. The
 * client is a plain socket of the same thread; the loop is turned until it has
 * its answer. */
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tranship/server.h"

enum { TURNS = 30000, PAUSE_US = 500, MOST = 65536 };

typedef struct world {
  tsh_loop *loop;
  tsh_server *server;
  tsh_feed *feed;
} world;

static world open_world(uint32_t timeout_ms) {
  world w = {0};
  tsh_err err;

  assert_int_equal(tsh_loop_open(&w.loop, &err), 0);
  assert_int_equal(
      tsh_server_open(&w.server, w.loop, "localhost", 0, timeout_ms, &err), 0);
  w.feed = tsh_server_feed(w.server);
  return w;
}

static void close_world(world *w) {
  tsh_feed_close(w->feed);
  tsh_loop_run(w->loop);
  tsh_loop_close(w->loop);
}

static int join(world *w) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(tsh_server_port(w->server)),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
  return fd;
}

static void say(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void tick(void *user) { *(bool *)user = true; }

/* Turns the loop once; the kernel gets a moment to carry bytes. */
static void turn(world *w) {
  bool ticked = false;
  tsh_timer *timer = tsh_timer_start(w->loop, 1, tick, &ticked);

  tsh_loop_turn(w->loop);
  tsh_timer_stop(timer);
  usleep(PAUSE_US);
}

/* The next request, as it was handed on; the caller frees it. */
static char *request(world *w) {
  char *item = NULL;
  size_t length;

  for (int n = 0; n < TURNS; n++) {
    if (tsh_feed_take(w->feed, &item, &length) == 1)
      return item;
    turn(w);
  }
  fail_msg("no request came");
  return NULL;
}

/* What the client reads until `wanted` is in it, or, with NULL, to the end. */
static const char *hear(world *w, int fd, const char *wanted) {
  static char text[MOST];
  size_t length = 0;

  for (int n = 0; n < TURNS; n++) {
    ssize_t got =
        recv(fd, text + length, sizeof text - length - 1, MSG_DONTWAIT);

    if (got == 0 || (got < 0 && errno == ECONNRESET)) {
      text[length] = '\0';
      assert_null(wanted);
      return text;
    }
    if (got > 0)
      length += (size_t)got;
    text[length] = '\0';
    if (wanted != NULL && strstr(text, wanted) != NULL)
      return text;
    turn(w);
  }
  fail_msg("heard only: %s", text);
  return NULL;
}

static void answer(world *w, const char *item, int status, const char *body) {
  assert_true(tsh_server_answer(w->server, strtoull(item, NULL, 10), status,
                                "text/plain", body, strlen(body)));
}

static void requests_are_handed_on_and_answered(void **state) {
  world w = open_world(0);
  int fd = join(&w);
  char *item;
  const char *said;

  (void)state;
  say(fd, "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n");
  item = request(&w);
  assert_string_equal(item, "1 GET /metrics");
  answer(&w, item, 200, "body-1");
  free(item);
  said = hear(&w, fd, "body-1");
  assert_non_null(strstr(said, "HTTP/1.1 200 OK\r\n"));
  assert_non_null(strstr(said, "Content-Length: 6\r\n"));
  /* The same connection again, in pieces, and two requests in one. */
  say(fd, "HEAD /healthz HT");
  turn(&w);
  say(fd, "TP/1.1\r\n\r");
  turn(&w);
  say(fd, "\nGET /last HTTP/1.1\r\nConnection: close\r\n\r\n");
  item = request(&w);
  assert_string_equal(item, "2 HEAD /healthz");
  answer(&w, item, 503, "not shown");
  free(item);
  item = request(&w);
  assert_string_equal(item, "3 GET /last");
  assert_false(tsh_server_answer(w.server, 2, 200, "text/plain", "", 0));
  answer(&w, item, 200, "bye");
  free(item);
  said = hear(&w, fd, NULL);
  assert_non_null(strstr(said, "HTTP/1.1 503 Service Unavailable"));
  assert_null(strstr(said, "not shown"));
  assert_non_null(strstr(said, "bye"));
  close(fd);
  close_world(&w);
}

static void refused(world *w, const char *text, const char *status) {
  int fd = join(w);

  say(fd, text);
  assert_non_null(strstr(hear(w, fd, NULL), status));
  close(fd);
}

static void what_is_no_request_is_refused(void **state) {
  world w = open_world(0);
  char *item = NULL, *endless = calloc(1, 20001);
  size_t length;
  int fd;

  (void)state;
  refused(&w, "POST / HTTP/1.1\r\n\r\n", "405 Method Not Allowed");
  refused(&w, "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", "413 ");
  refused(&w, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "413 ");
  refused(&w, "GET / SPDY/3\r\n\r\n", "505 ");
  refused(&w, "GET /\r\n\r\n", "400 ");
  refused(&w, "GET http://other/ HTTP/1.1\r\n\r\n", "400 ");
  refused(&w, "GET /a\x01 HTTP/1.1\r\n\r\n", "400 ");
  refused(&w, "\r\n\r\n", "400 ");
  fd = join(&w);
  assert_int_equal(send(fd, "GET /\0 HTTP/1.1\r\n\r\n", 19, 0), 19);
  assert_non_null(strstr(hear(&w, fd, NULL), "400 "));
  close(fd);
  memset(endless, 'a', 20000);
  refused(&w, endless, "431 ");
  free(endless);
  assert_int_equal(tsh_feed_take(w.feed, &item, &length), 0);
  close_world(&w);
}

static void a_slow_client_is_sent_away(void **state) {
  world w = open_world(50);
  int idle = join(&w), slow = join(&w);

  (void)state;
  say(slow, "GET / HT");
  assert_string_equal(hear(&w, slow, NULL), "");
  assert_string_equal(hear(&w, idle, NULL), "");
  close(slow);
  close(idle);
  close_world(&w);
}

static void connections_are_bounded(void **state) {
  world w = open_world(0);
  int fds[32], more;
  char *item;

  (void)state;
  for (int i = 0; i < 32; i++) {
    fds[i] = join(&w);
    turn(&w);
  }
  more = join(&w);
  assert_non_null(strstr(hear(&w, more, NULL), "503 "));
  close(more);
  say(fds[31], "GET / HTTP/1.1\r\n\r\n");
  item = request(&w);
  for (int i = 0; i < 31; i++)
    close(fds[i]);
  answer(&w, item, 200, "still served");
  free(item);
  hear(&w, fds[31], "still served");
  for (int i = 0; i < 200; i++) /* until it knows who has gone */
    turn(&w);
  more = join(&w);
  say(more, "GET /again HTTP/1.1\r\n\r\n");
  item = request(&w);
  assert_non_null(strstr(item, "GET /again"));
  free(item);
  close(more); /* gone before its answer: the server closes with it open */
  close(fds[31]);
  close_world(&w);
}

static void an_address_in_use_is_named(void **state) {
  world w = open_world(0);
  tsh_server *other;
  tsh_err err;

  (void)state;
  assert_int_not_equal(tsh_server_open(&other, w.loop, "127.0.0.1",
                                       tsh_server_port(w.server), 0, &err),
                       0);
  assert_non_null(strstr(err.message, "127.0.0.1:"));
  assert_int_not_equal(
      tsh_server_open(&other, w.loop, "no address", 0, 0, &err), 0);
  close_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_handed_on_and_answered),
      cmocka_unit_test(what_is_no_request_is_refused),
      cmocka_unit_test(a_slow_client_is_sent_away),
      cmocka_unit_test(connections_are_bounded),
      cmocka_unit_test(an_address_in_use_is_named),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
