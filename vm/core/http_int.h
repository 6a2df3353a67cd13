/* What the files of the http room share: the pool in http.c, calls in
 * http_call.c. */
#ifndef TRANSHIP_HTTP_INT_H
#define TRANSHIP_HTTP_INT_H

#include "http_curl.h"
#include "tranship/buf.h"
#include "tranship/http.h"
#include "tranship/loop.h"

struct tsh_http_call {
  tsh_http *http;            /* NULL once it is not the pool's any more */
  tsh_http_call *next, **at; /* in the pool's list of calls */
  tsh_http_call *next_news;  /* in its list of news */
  bool has_news;
  CURL *easy;
  struct curl_slist *headers, *connect_to;
  tsh_buf body, head;
  char why[CURL_ERROR_SIZE];
  size_t from, scanned; /* of a stream's body: taken, looked through */
  size_t limit;
  size_t line_end; /* where the next line ends; 0: not found yet */
  tsh_buf sent;    /* the request's body */
  size_t sent_at;  /* so much of it has been sent */
  struct wait *waits;
  bool is_stream, has_head, is_ended, is_paused;
  int status; /* of the transfer: 0 or a kind */
  tsh_err err;
};

/* Into the multi handle and out of it. */
int tsh_http__add(tsh_http *http, tsh_http_call *call, tsh_err *err);
void tsh_http__remove(tsh_http_call *call);
/* Has the call's waits looked at soon, outside of libcurl. */
void tsh_http__news(tsh_http_call *call);

/* Ends a call as libcurl ended it. */
void tsh_http__ended(tsh_http_call *call, CURLcode result);
/* Tells those who wait for what has come. */
void tsh_http__tell(tsh_http_call *call);

#endif
