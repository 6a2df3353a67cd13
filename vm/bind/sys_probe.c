/* vm.sys, probes: whether somebody listens on a TCP address.
 *
 * Name look-up blocks, so the whole probe runs on the thread pool, within a
 * bound of its own: a pool thread cannot be cancelled. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sys.h"

enum { PROBE_MS = 5000, LONGEST_NAME = 256 };

typedef struct probe {
  tsh_work work;
  char host[LONGEST_NAME], port[8];
  int timeout_ms;
} probe;

/* 0, or the errno of one address. */
static int try_address(const struct addrinfo *address, int timeout_ms) {
  int fd = socket(address->ai_family,
                  address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int failed = 0;
  socklen_t size = sizeof failed;
  struct pollfd poller = {.fd = fd, .events = POLLOUT};

  if (fd < 0)
    return errno;
  if (connect(fd, address->ai_addr, address->ai_addrlen) != 0)
    failed = errno;
  if (failed == EINPROGRESS) {
    if (poll(&poller, 1, timeout_ms) == 0)
      failed = ETIMEDOUT;
    else
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size);
  }
  close(fd);
  return failed;
}

static int probe_run(tsh_work *work) {
  probe *p = (probe *)work;
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
  int failed = EHOSTUNREACH;
  int rc = getaddrinfo(p->host, p->port, &hints, &found);

  if (rc != 0)
    return tsh_err_set(&work->op.err, TSH_UNAVAILABLE, "sys", rc,
                       "look up %s: %s", p->host, gai_strerror(rc));
  for (const struct addrinfo *a = found; a != NULL && failed != 0;
       a = a->ai_next)
    failed = try_address(a, p->timeout_ms);
  freeaddrinfo(found);
  if (failed == 0)
    return 0;
  return tsh_err_errno(&work->op.err, failed, "connect to %s:%s", p->host,
                       p->port);
}

static void probe_free(tsh_op *op) { free(op); }

static int push_true(lua_State *L, tsh_op *op) {
  (void)op;
  lua_pushboolean(L, 1);
  return 1;
}

/* probe_tcp(host, port, timeout_ms = 5000) -> true | nil, err; waits. */
static int sys_probe_tcp(lua_State *L) {
  const char *host = luaL_checkstring(L, 1);
  lua_Integer port = luaL_checkinteger(L, 2);
  lua_Integer timeout_ms = luaL_optinteger(L, 3, PROBE_MS);
  probe *p;

  luaL_argcheck(L, strlen(host) < LONGEST_NAME, 1, "too long a name");
  luaL_argcheck(L, port > 0 && port < 65536, 2, "a port");
  luaL_argcheck(L, timeout_ms > 0 && timeout_ms <= 60000, 3, "1 to 60000 ms");
  p = calloc(1, sizeof *p);
  if (p == NULL)
    abort();
  snprintf(p->host, sizeof p->host, "%s", host);
  snprintf(p->port, sizeof p->port, "%d", (int)(unsigned short)port);
  p->timeout_ms = (int)timeout_ms;
  p->work.run = probe_run;
  p->work.op.free = probe_free;
  tsh_work_start(tsh_bind_loop(L), &p->work);
  return tsh_bind_await(L, &p->work.op, push_true);
}

static const luaL_Reg functions[] = {{"probe_tcp", sys_probe_tcp},
                                     {NULL, NULL}};

void tsh_sys_register_probes(lua_State *L) { luaL_setfuncs(L, functions, 0); }
