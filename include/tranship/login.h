/* Logins: TLS and SASL of raw connections, made once and shared by many.
 *
 * A login holds what one cluster wants to know of us and how we know it:
 * authorities, client certificate, mechanism, user, password, or the command
 * that prints a token. It is counted, and any thread may use it. Its content
 * can be replaced while connections are open: they go on with the new one
 * when they next log in. Secrets lie in locked memory (secret.h). */
#ifndef TRANSHIP_LOGIN_H
#define TRANSHIP_LOGIN_H

#include <stdatomic.h>
#include <stdbool.h>

#include "tranship/err.h"

typedef struct tsh_login tsh_login;

/* Texts are copied. What is NULL is not there. */
typedef struct tsh_login_spec {
  bool tls;
  bool any_host;  /* a certificate for another host is as good */
  const char *ca; /* PEM, any number of certificates; NULL: the system's */
  const char *cert, *key; /* PEM: our certificate, then its issuers; our key */
  const char *key_password;
  /* NULL, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER */
  const char *mechanism;
  const char *user, *password;
  char *const *token_command; /* a program and its arguments, NULL at the end;
                                 it prints a token */
} tsh_login_spec;

/* TSH_INVALID says what cannot be meant, or which PEM text is broken. */
int tsh_login_new(tsh_login **out, const tsh_login_spec *spec, tsh_err *err);
/* After a failure the login is as it was. */
int tsh_login_replace(tsh_login *login, const tsh_login_spec *spec,
                      tsh_err *err);
tsh_login *tsh_login_keep(tsh_login *login);
void tsh_login_release(tsh_login *login); /* NULL is fine */

/* Bearer tokens. Runs the command and waits for its end, so only where
 * waiting is allowed; what it prints, without white space at its ends, is the
 * token. `life_ms` is what the token says of its own life, or -1. With
 * `abandoned` set from elsewhere it ends early. */
struct tsh_secret;
/* The login's own, which is handed out again during the first half of its
 * life: one caller runs the command, the others wait for it. */
int tsh_login_token(tsh_login *login, atomic_bool *abandoned,
                    struct tsh_secret **out, long long *life_ms, tsh_err *err);
int tsh_token_fetch(char *const *command, atomic_bool *abandoned,
                    struct tsh_secret **out, long long *life_ms, tsh_err *err);

#endif
