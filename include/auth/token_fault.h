/* token_fault.h - why a token is not good. */
#ifndef AUTH_TOKEN_FAULT_H
#define AUTH_TOKEN_FAULT_H

enum token_fault {
    TOKEN_GOOD,
    TOKEN_TOO_LONG,
    TOKEN_MALFORMED,       /* not three parts in base64url, its header no JSON object, ... */
    TOKEN_WRONG_HEADER,    /* a member of the header that must not be there, or not so */
    TOKEN_WRONG_ALGORITHM,
    TOKEN_UNKNOWN_KEY,
    TOKEN_AMBIGUOUS_KEY,
    TOKEN_WRONG_SIGNATURE,
    TOKEN_WRONG_CLAIMS,    /* its claims are no JSON object, or one is not of its type */
    TOKEN_WITHOUT_END,     /* no exp */
    TOKEN_EXPIRED,
    TOKEN_TOO_EARLY,       /* nbf or iat is yet to come */
    TOKEN_WRONG_ISSUER,
    TOKEN_WRONG_AUDIENCE,
    TOKEN_REVOKED,
    TOKEN_WITHOUT_KEYS,    /* of no fault of its own: the keys could not be fetched yet */
    TOKEN_WAITS,           /* likewise: the keys are being fetched */
    TOKEN_NO_MEMORY,       /* likewise */
    TOKEN_FAULTS
};

/* A sentence for the caller, in the characters of an error_description (RFC 6750 3). It holds
 * nothing of the token. */
const char *token_fault_text(enum token_fault fault);

/* A word for logs and tests: "expired". */
const char *token_fault_name(enum token_fault fault);
#endif
