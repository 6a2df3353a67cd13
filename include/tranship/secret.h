/* Secrets: bytes in locked, undumped memory, wiped when they are released.
 *
 * Every published secret is known to one list of the process, through which
 * text that leaves it (log, journal, report, errors) is redacted. Any thread
 * may call these functions. */
#ifndef TRANSHIP_SECRET_H
#define TRANSHIP_SECRET_H

#include <stddef.h>

#include "tranship/buf.h"
#include "tranship/err.h"

typedef struct tsh_secret tsh_secret;

/* Bytes that are shorter than this would blank innocent text everywhere, so
 * redaction passes over them. */
#define TSH_SECRET_SHORTEST 4

/* A secret with room for `length` bytes, to be filled by its maker, and then
 * published: from then on its bytes never change, and are redacted. */
int tsh_secret_new(tsh_secret **out, size_t length, tsh_err *err);
void tsh_secret_publish(tsh_secret *secret);
char *tsh_secret_bytes(tsh_secret *secret);
size_t tsh_secret_length(const tsh_secret *secret);
void tsh_secret_free(tsh_secret *secret); /* wipes; NULL is fine */

/* Adds `text` to `out` with the bytes of live secrets blanked.
 * Returns how many places were blanked. */
size_t tsh_secret_redact(const char *text, size_t length, tsh_buf *out);

#endif
