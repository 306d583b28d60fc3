/* token_fault.c - their names and sentences. */
#include "auth/token_fault.h"

static const struct {
    const char *name;
    const char *text;
} faults[TOKEN_FAULTS] = {
    [TOKEN_GOOD] = {"good", "The token is good."},
    [TOKEN_TOO_LONG] = {"too-long", "The token is longer than 16 KiB."},
    [TOKEN_MALFORMED] = {"malformed", "The token is not a signed JWT in its compact form."},
    [TOKEN_WRONG_HEADER] = {"wrong-header",
                            "The token's header has a member that is not taken here."},
    [TOKEN_WRONG_ALGORITHM] = {"wrong-algorithm",
                               "The token's alg is not one that its key is used with here."},
    [TOKEN_UNKNOWN_KEY] = {"unknown-key", "The token's kid names a key that is not known here."},
    [TOKEN_AMBIGUOUS_KEY] = {"ambiguous-key",
                             "The token must name its key by kid: there are several."},
    [TOKEN_WRONG_SIGNATURE] = {"wrong-signature", "The token's signature is not of its key."},
    [TOKEN_WRONG_CLAIMS] = {"wrong-claims",
                            "The token's claims are not a JSON object, or one is malformed."},
    [TOKEN_WITHOUT_END] = {"without-end", "The token has no exp; every token must end."},
    [TOKEN_EXPIRED] = {"expired", "The token has expired."},
    [TOKEN_TOO_EARLY] = {"too-early",
                         "The token is not valid yet; are the clocks of both machines right?"},
    [TOKEN_WRONG_ISSUER] = {"wrong-issuer", "The token's iss is not one that is trusted here."},
    [TOKEN_WRONG_AUDIENCE] = {"wrong-audience", "The token's aud is for others than this server."},
    [TOKEN_REVOKED] = {"revoked", "The token was revoked."},
    [TOKEN_WITHOUT_KEYS] = {"without-keys",
                            "The keys for this token cannot be fetched now; try again later."},
    [TOKEN_WAITS] = {"waits", "The keys for this token are being fetched."},
    [TOKEN_NO_MEMORY] = {"no-memory", "The daemon is out of memory; try again later."},
};

const char *token_fault_text(enum token_fault fault)
{
    return faults[fault].text;
}

const char *token_fault_name(enum token_fault fault)
{
    return faults[fault].name;
}
