/* A Lua host: one Lua state with the embedded library, on one loop.
 *
 * A host belongs to the thread that opened it. Several may live beside each
 * other, also on one thread: running one of them blocks that thread until its
 * program is done. */
#ifndef TRANSHIP_HOST_H
#define TRANSHIP_HOST_H

#include "tranship/buf.h"
#include "tranship/err.h"

typedef struct tsh_host tsh_host;

/* `stdlib` is a folder to load the library from, or NULL for the embedded one;
 * the text must outlive the host. */
int tsh_host_open(tsh_host **out, const char *stdlib, tsh_err *err);

/* Runs a file of the library ("main.lua") as a task, with string arguments.
 * `*code` becomes the integer it returns. Fails when it raises. */
int tsh_host_run(tsh_host *host, const char *path, int argc, char **argv,
                 int *code, tsh_err *err);

/* Runs `text` as a task, with string arguments; adds the string it returns to
 * `result`. */
int tsh_host_eval(tsh_host *host, const char *text, size_t length,
                  const char *chunk_name, int argc, const tsh_buf *argv,
                  tsh_buf *result, tsh_err *err);

/* Cancels what still runs and waits for operations under way. */
void tsh_host_close(tsh_host *host);

/* The same for a process that ends now: memory is left to it where nothing
 * else is open, since freeing it object by object takes longer than a short
 * command's work. */
void tsh_host_leave(tsh_host *host);

#endif
