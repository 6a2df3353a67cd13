/* Base64, as JSON and kubeconfigs carry bytes. */
#ifndef TRANSHIP_BASE64_H
#define TRANSHIP_BASE64_H

#include "tranship/buf.h"

/* Adds the bytes that `text` stands for (line ends in it are passed over);
 * false when it is not base64. */
bool tsh_base64_decode(const char *text, tsh_buf *out);
/* Adds the text that stands for the bytes, in one line. */
void tsh_base64_encode(const char *bytes, size_t length, tsh_buf *out);

#endif
