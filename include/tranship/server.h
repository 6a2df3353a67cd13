/* A small HTTP/1.1 server: what a process says of itself to a scraper or a
 * probe. It answers GET and HEAD, keeps connections open between requests,
 * and bounds everything a client can make it hold: the head of a request, the
 * number of connections, the time each of them may take.
 *
 * Requests come as items of a feed, "ID METHOD PATH"; each is answered once,
 * in any order, by its id. What is no such request is refused right here. */
#ifndef TRANSHIP_SERVER_H
#define TRANSHIP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tranship/err.h"
#include "tranship/feed.h"
#include "tranship/loop.h"

typedef struct tsh_server tsh_server;

/* Listens on `host`, a numeric address or "localhost"; port 0 takes a free
 * one. `timeout_ms` is how long a client may take to say what it wants, how
 * long an answer may take, and how long an idle connection stays; 0: 10 s. */
int tsh_server_open(tsh_server **out, tsh_loop *loop, const char *host,
                    uint16_t port, uint32_t timeout_ms, tsh_err *err);
uint16_t tsh_server_port(const tsh_server *server);
/* The requests; closing this feed is closing the server. */
tsh_feed *tsh_server_feed(tsh_server *server);
/* Copies `body`. False when the client has gone. */
bool tsh_server_answer(tsh_server *server, uint64_t id, int status,
                       const char *type, const char *body, size_t length);

#endif
