/* SCRAM-SHA-256 and -512 (RFC 5802, RFC 7677), the client's half: pure data,
 * no channel binding. As Kafka does, names and passwords are taken as they
 * are, without SASLprep. */
#ifndef TRANSHIP_SCRAM_H
#define TRANSHIP_SCRAM_H

#include "tranship/buf.h"
#include "tranship/err.h"

enum { SCRAM_LONGEST = 4096, SCRAM_HASH_MOST = 64 };

typedef struct tsh_scram {
  bool sha512;
  tsh_buf first_bare; /* client-first-message-bare */
  char nonce[64];
  unsigned char server_signature[SCRAM_HASH_MOST];
} tsh_scram;

/* `nonce` NULL: of random bytes. */
int tsh_scram_init(tsh_scram *scram, bool sha512, const char *user,
                   const char *nonce, tsh_err *err);
void tsh_scram_fini(tsh_scram *scram); /* wipes */

/* The messages in order: what we send first; what we answer to the server's
 * first; whether its last proves that it knows the password too. TSH_AUTH
 * where it does not; TSH_PROTOCOL for messages that are none. */
void tsh_scram_first(const tsh_scram *scram, tsh_buf *out);
int tsh_scram_final(tsh_scram *scram, const char *password,
                    size_t password_size, const char *server_first, size_t size,
                    tsh_buf *out, tsh_err *err);
int tsh_scram_verify(const tsh_scram *scram, const char *server_final,
                     size_t size, tsh_err *err);

#endif
