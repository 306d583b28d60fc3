/* keys.h - keys and tokens of every kind, made once by another implementation (Python's
 * `cryptography`): they were never used for anything but these tests.
 *
 * A _JWK is the members of one, without the braces. Each TOKEN_ is of the key of its kind, with the
 * claims {"sub":"alice","exp":4102444800} unless its name says otherwise. */
#ifndef SUPPORT_KEYS_H
#define SUPPORT_KEYS_H

#define KEYS_SECRET \
    "a secret of sixty-four bytes that nobody could ever have guessed"
#define KEYS_RSA_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8qamB579tSsQmxjD8I2S\n" \
    "D7r9uevh0SCUvVg9eGxAyTan7cEAllstPWoz6LKSYAjll6MvE3UG8+zPgGB+oKwb\n" \
    "c4Xs6Sv27Lxe3VzjCFcBeyZ71aFgOq/6rrZqB72fBJJffkay6jYZbpYtcWl6a8dE\n" \
    "B6OkAO9nByRarLmp3XhzDymvWGCgGQMSBx61sfT1X5pxm9st6Ohn60FxPG5kSpuf\n" \
    "EITXM/5N8zLk58qaV5G1NAJkPKpnEKnlhRLkgGmcDJs5GiUvcm+KTl/XJ7F/J0bt\n" \
    "qwXyJ4L0n30cbaUF2UArf609W2IsQKTgoPrzKImtbIvX7vLVR/MQwG1Jcf8g2JA8\n" \
    "PQIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_RSA_PRIVATE \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDypqYHnv21KxCb\n" \
    "GMPwjZIPuv256+HRIJS9WD14bEDJNqftwQCWWy09ajPospJgCOWXoy8TdQbz7M+A\n" \
    "YH6grBtzhezpK/bsvF7dXOMIVwF7JnvVoWA6r/qutmoHvZ8Ekl9+RrLqNhluli1x\n" \
    "aXprx0QHo6QA72cHJFqsuandeHMPKa9YYKAZAxIHHrWx9PVfmnGb2y3o6GfrQXE8\n" \
    "bmRKm58QhNcz/k3zMuTnyppXkbU0AmQ8qmcQqeWFEuSAaZwMmzkaJS9yb4pOX9cn\n" \
    "sX8nRu2rBfIngvSffRxtpQXZQCt/rT1bYixApOCg+vMoia1si9fu8tVH8xDAbUlx\n" \
    "/yDYkDw9AgMBAAECggEAFVJ1LXSYSQFXQgxg5LRJUkOKrySIoSadRgQefASl2WiJ\n" \
    "mhfxvsSVSvEYTZ7Uw5vp3N4fMV+rtDx/bAGkBDy2DtEvumToG5uz3vzItb9mJxWr\n" \
    "H7XArczamNv49jmAjdd04l+WXNlTI8djh985EtvINmmilt3H7mCQl96atsDc+hxy\n" \
    "Tqkd+LUqTlJMc1ZwyY2+kjhqTSJc/x8/SKrQx5eJqTPkeiU1Qf9Ti+WiUHJv1dYm\n" \
    "qOE0cZdhHvKQjS08ryPKoneNGkeoDVXkZ4lq6CcO9RbBEbGSPGPK7ihQXh6o2D2f\n" \
    "UwORH1iEWK58KkQwWMhyVxVb3+U754TSNxJ9e4EFOwKBgQD6oLL9bGkANb/mZNrE\n" \
    "1RCX6gq0OXQjd41+TdC8mb2SrljPOWZuEbSXzB+EyoavAo2/Q0+dFK8GnPrL0Cok\n" \
    "mW7okYQdxUidq3BBCvWRqpRxgumroyW4yPXr8MekqfYRGwPZIzZDjwQ/lrVYQf7U\n" \
    "Q4SvDA1fIexj3qPS2HQRL6L18wKBgQD32i1wziSuqFmYvGV3SgFnAZn7Wpe2lFXy\n" \
    "68vJBxXmeepIr8UWhveznX51Vk1jVzRjG4QHBUGhlVfbiDKFotIktLf/HBipirBi\n" \
    "mAa3OJxjARm983J2oSF858tJNH1DYFYa5RIVNeCvcvPTMI5zjkXAibTagXZFEIUN\n" \
    "yIV48NKhDwKBgF4wwtQHSDbx/FrkEGvk/0V4ielNpl4l8iFDsW0QAnT73RiUI/C9\n" \
    "6rcZ2caYLqHbPdZhv6vzOAwuNvseEpiKqWnyNkrR+AZ5hciMC9pg10UJxDPjLqwR\n" \
    "qoqvhPhXf8jR9FJIr34YY6paQ3EV7GVtspHu35+fKi4mYD8/Ze+HjaENAoGBAKmk\n" \
    "qv+QCWmGjzTMloKMo+MWJIf3XOo6I44OuMAS2nmTLrmrnTGrFbXZ8alsdbGuCYxg\n" \
    "VADeJyrq5mS7lyEC7eTz0RCK8ZJx/AKv3cDgvaHCKhVqoQjzhtFQckLb63UHZkgo\n" \
    "TDU6WFyeSKdfj9EmKzX6y0/X1tS01u01N64s324fAoGAAPwpegDHuxo4jf2LVkM5\n" \
    "RTuvI1ETW+uUTJ2/d1qcuKQ5w3kQkGgu1da2QzHGkymAMwDPzm64BceLSz41s9GR\n" \
    "cj+kIgDc/oLquGIx+Fx/NNvMSM7f98nUnrPFge/FbFJ8qZId+5/DD4mOU2B+oba8\n" \
    "3iCqn5W0OaAZrmz3DmGYZko=\n" \
    "-----END PRIVATE KEY-----\n"
#define KEYS_P256_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWHKw718jgKjElizco6tEgmudsuM1\n" \
    "Nggs9aD0C+/lUgI+NZiyZMA+3+EL54hMDG+pqatTx0O0355Dk2KrLyBTjw==\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_P256_PRIVATE \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg90Fj3KKwcPfVkQMn\n" \
    "oywdUYFEOzUnCKSKwy51hvob40ihRANCAARYcrDvXyOAqMSWLNyjq0SCa52y4zU2\n" \
    "CCz1oPQL7+VSAj41mLJkwD7f4QvniEwMb6mpq1PHQ7TfnkOTYqsvIFOP\n" \
    "-----END PRIVATE KEY-----\n"
#define KEYS_P384_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAERwe6gslB6DwseO4dcrx5TrNCYdnX57ai\n" \
    "+kCEimlOjPjvUPMnZ54wItVnX8IPgS6UCqPvXKCJqjCIyIGVel6q+LNTJo0ecVoD\n" \
    "zq1QJu354+ekPr+RPlF5qyxHXlPImauv\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_P384_PRIVATE \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCUMFjz4k/R92Xo1oQx\n" \
    "EAl9lkGTCLLxPDSyODL6/bWF1DnTzHR9bzw3RIzzlxarz+ChZANiAARHB7qCyUHo\n" \
    "PCx47h1yvHlOs0Jh2dfntqL6QISKaU6M+O9Q8ydnnjAi1Wdfwg+BLpQKo+9coImq\n" \
    "MIjIgZV6Xqr4s1MmjR5xWgPOrVAm7fnj56Q+v5E+UXmrLEdeU8iZq68=\n" \
    "-----END PRIVATE KEY-----\n"
#define KEYS_ED25519_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MCowBQYDK2VwAyEAUmPhehNYqFBKcX3sFBFufvzty9u3i2LOAc/nOuuhQ7M=\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_ED25519_PRIVATE \
    "-----BEGIN PRIVATE KEY-----\n" \
    "MC4CAQAwBQYDK2VwBCIEIMSgPW4/UhB5ZJUSmdKm+L6wC4HIGmwBB57BJRd47Bvr\n" \
    "-----END PRIVATE KEY-----\n"
#define KEYS_SECRET_JWK \
    "\"kty\":\"oct\",\"k\":\"YSBzZWNyZXQgb2Ygc2l4dHktZm91ciBieXRlcyB0aGF0IG5vYm9keSBj" \
    "b3VsZCBldmVyIGhhdmUgZ3Vlc3NlZA\""
#define KEYS_RSA_JWK \
    "\"kty\":\"RSA\",\"n\":\"8qamB579tSsQmxjD8I2SD7r9uevh0SCUvVg9eGxAyTan7cEAllstPWoz" \
    "6LKSYAjll6MvE3UG8-zPgGB-oKwbc4Xs6Sv27Lxe3VzjCFcBeyZ71aFgOq_6rrZqB72fBJJffkay6jYZ" \
    "bpYtcWl6a8dEB6OkAO9nByRarLmp3XhzDymvWGCgGQMSBx61sfT1X5pxm9st6Ohn60FxPG5kSpufEITX" \
    "M_5N8zLk58qaV5G1NAJkPKpnEKnlhRLkgGmcDJs5GiUvcm-KTl_XJ7F_J0btqwXyJ4L0n30cbaUF2UAr" \
    "f609W2IsQKTgoPrzKImtbIvX7vLVR_MQwG1Jcf8g2JA8PQ\",\"e\":\"AQAB\""
#define KEYS_P256_JWK \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"WHKw718jgKjElizco6tEgmudsuM1Nggs9aD0C-_" \
    "lUgI\",\"y\":\"PjWYsmTAPt_hC-eITAxvqamrU8dDtN-eQ5Niqy8gU48\""
#define KEYS_P384_JWK \
    "\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"Rwe6gslB6DwseO4dcrx5TrNCYdnX57ai-kCEiml" \
    "OjPjvUPMnZ54wItVnX8IPgS6U\",\"y\":\"CqPvXKCJqjCIyIGVel6q-LNTJo0ecVoDzq1QJu354-ek" \
    "Pr-RPlF5qyxHXlPImauv\""
#define KEYS_ED25519_JWK \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"UmPhehNYqFBKcX3sFBFufvzty9u3i2LOAc_n" \
    "OuuhQ7M\""
#define KEYS_RSA_1024_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDi8tDqMWWuRhXxl6FrjmVO2nxA\n" \
    "qN38xQ0dmzRqtoR8hqJy/Xd7m6H/WmONPlPOBpuLvwmhNhFY6NgbAZOT6LMG609o\n" \
    "7jdWkfycTj1CbEG96Xg9gjlMc9o58fSoUr+1c8vwNnHmO6gIg9I7rd41QsLorQYD\n" \
    "oUaK+2QGh565Z5IdGQIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_P521_PUBLIC \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAQjI79mh2mx6TEQWF2xLYyRzmR/bp\n" \
    "M1w+2h7Fgbjt2nvgR0TQ+TIcJCdL0MzaPHniJ3FGQfvaBQPCFzqwovlO/jABEOR2\n" \
    "f+83Vc1tFJs3RSSaY5p77CBq3evg43se4eXH0ogzsBtTC0f4Xwg4s7jPpmw9z7YZ\n" \
    "icASz/EZaqm/FHzE49o=\n" \
    "-----END PUBLIC KEY-----\n"
#define KEYS_ROCA_JWK \
    "\"kty\":\"RSA\",\"n\":\"56BPC5VkKcZwaFPq5DNjypPkyJZ3MWlQJWbkRykSqzQLvg9v2QYmGvhu" \
    "UPrS4A5qixQGmfjJZhkzvGsqnszyuS6UzystDgIUHrbo2ZkTiah2PEpPjonVpIcQQfgf_EJqkpsTP6-N" \
    "LYCkOoHME42MsBjnVuTZmhG1KpM_zsi5MK_rdtN9Vmihx8AbCuLZAhAfHf9FW6_VYl0qv9BC6cLu-R0O" \
    "t1ZxbgoY0uxYZ6H-mMqasMqByLGW7Qus_Va3vL8K4tTY2cfr-gJnW5OegFtzYwr14aMLSyVbsANdEgRW" \
    "uGMrQwu5CnR-L92CvEq4eGnnGSVnCQKIO9iJugw9cjaJVQ\",\"e\":\"AQAB\""
#define KEYS_OFF_CURVE_JWK \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"WHKw718jgKjElizco6tEgmudsuM1Nggs9aD0C-_" \
    "lUgI\",\"y\":\"PjWYsmTAPt_hC-eITAxvqamrU8dDtN-eQ5Niqy8gU44\""
#define TOKEN_HS256 \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.U-1M56MLL_c17la" \
    "0eE_ijWZCb_c5IPnhP8XbFXqkV9c"
#define TOKEN_HS384 \
    "eyJhbGciOiJIUzM4NCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.ty5SFZShkSzbDX5" \
    "wp1XMu-Pk6fiXTPqN1H7UY4aKHK-MVtubl8XG_n2VolzR7OQM"
#define TOKEN_HS512 \
    "eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.lUjjQn0N8duOgsM" \
    "DNWvQ6dmfb8c9dj8_mdl3CkeM-oFm38xFQmYKz-r70VGwU3_4DrE3m7vpKH6awrhc7dZaeQ"
#define TOKEN_RS256 \
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.SulBFg1X9lC3wNI" \
    "JjdW3C1i9PTzAZOOsmC_1RiZ-xDKqj5MMF9YAmYuFSikerNxSi4RsZKtDCz8SvLC8X5PHBg9cU_qetR5" \
    "apWucZBSSNR30ZFcwroqWhxBxakbaLiKDR8n0sodoSpJd5yxJ_QG768H-Du1z9mZiXUeaYfq-FoJweEN" \
    "Ujm1AqvKrqXN0Ccwl-id1yrWp0av8aBguZBjKl8xa4VAeq1-UV8WMw7XfrMLm_SwAUZebWAcsOojYvG2" \
    "bymtH7_7XzBiLqVYnIzEds0pyG97PVcz7qCibRfowhigl1V46EWATZAAr6ZinqVr7HQqI8_bo5avbHMn" \
    "v6Q9Ppg"
#define TOKEN_RS384 \
    "eyJhbGciOiJSUzM4NCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.YcnZUTlhZma8Rya" \
    "eYqB_7AdO9-H9VorE8PRX4Ri-s4e0Drj5sa6d5kolaK-UmDw0mkwUYIbfjyIAvK6rIfSGshV3DCD-4J_" \
    "lRkmcvmuT4nN5jDs8ukIkBUBWCdz8oAN7rbkeyHdeN0tMZAOY1pt2Tkdi73Bn4GgO6lloCCkpKhrvZze" \
    "ZCyOsCAAJriRAr2zHvzGwH2gDbbR4RoB3BOybNC8NB1vbaEBFUkVCcGFMaTW0pox5ciZEP-QKCYZS00q" \
    "p1LfsjA0UGe-4C4xkIUU23rUpNDeKoADT_tBRdxPpO1ciM0HgGM5NI8XEaxhsahai84pnqJHGfaMnK79" \
    "nibnnNg"
#define TOKEN_RS512 \
    "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.SingJbxUmpL-p59" \
    "KgpWTF8UBgvfRBpnrzsSsX6IQsMc5txWfqDJna8Id_ChsmNUWf-sgy7hrg06laRy6POvWQ_OrQ8HOS86" \
    "Il9DJRr_wJD6zto81UV7K71_mHpr8BKI9DvEk1maj3oDCRAz4affNG897DEbqBNiz3azKRahyqcCFIxX" \
    "aJTHxUSnUGHjWVUFP2rLPG6TlSA4Azkn0zU7gst6c82TivpcM9M_6lnAnk7xabWu2EHNksna1hA6aMpL" \
    "7vQcu6kwiwKQG31eFMeFYa4cSTFptw9NWJIW8S-lrXe3zqzPU2GeBAuN3Z418TbP2XcB8NNprh7KpI3X" \
    "-akQxYQ"
#define TOKEN_PS256 \
    "eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.RA2i04BJvwbtKA8" \
    "f6Bx16Q9isKzdIV2UODtRRlxSjiDMUDyQ9z04t_SZTJMYJz5DBO4ara77c6tJn1KRKssTzrO0jL1mje5" \
    "j9nfTkoFJFlKIa50b0bQqESr-fQY7WCvrg4Wwe9tUQHrWMon56FtYt-nLD5UTW1wtJsUOaH8YlAj5byR" \
    "H1ut5HwS1bSRQHmS6vBRdLRcuWzlgbIeqSXoqx8guVai2Padw4V5Ix5ndjLthLcvIqY97TI4FLmk8mN2" \
    "CWHnjU97fOvqGz4E6yLELpqJmUuNml00_p-qr5-Rrl4-D77zcHCCoLe8u9-OEI3ZtA1UqtnDWCQilj55" \
    "hvg8P6w"
#define TOKEN_PS384 \
    "eyJhbGciOiJQUzM4NCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.0QtgdVzz1VYXmEb" \
    "poZoDaC7DRymgJB2gykr8gz8wNlFCEC44zgzKfmyKMTXeKnUS3d9P1_PH3NaqARgLUsP-Dx4QudqajZj" \
    "QJKXU14F6ac5fjR-M0HWpV4MC1oi5mqZfzG78nwXNBOUTz-5u8M69hrv0vQjVUqqbkM_uoNK8qg8U0V6" \
    "NitOhCu4JCCvlpFZqdenNb5KmLh76w40u0QwVmgkbUEC5Nr0yBxqXtMraEbSqqZEvuKmh4Udc980JDlZ" \
    "GUOSvl_cEEdl8OdI2jBLUkS3OvV3J9VT6avcMhRIToR1FtDyr7Wzok3QINbSGxi6tlvOIKlrZL9Ye8VN" \
    "GaEmcWA"
#define TOKEN_PS512 \
    "eyJhbGciOiJQUzUxMiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.7uY5jO-GFY13xzp" \
    "OW__9CKF4Pe-jr-KJyxnk0nGBcqJ714ChCyBMEXgHuBqOAtX5o925mfv_yvNC9gowLjWJn7Vj8_Co1UO" \
    "aa64IW7QMnkULb-HXafDL_Lg8lTNvef3MVZZ-7BqEGY3G2EVBn3GyTGOHNEwD0MzmMKZVxkpzmJDsmeU" \
    "2RWTip4U5aBxHafcHz3d9Tlx4cAcsyshD9akOItWmL6NQDST04wKlvZmbcr8vYwvOpH2RdEKMZ8r4Y4L" \
    "LvGU-RkTpQLBklvwThsCfPloWlgjhj-kSnB_1Kv1gfM3d7RMKcCmJxcyua_ur5PaHIv_CW6j5g-qlM5C" \
    "smLKlng"
#define TOKEN_ES256 \
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.qpikFaP313mxKtC" \
    "T-CeNgV6WtKNXspAl3wNQo-_Vrmr8LgO2-MqezihOwRN9LgleThbGggqua7qKAqqfXVpjNg"
#define TOKEN_ES384 \
    "eyJhbGciOiJFUzM4NCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.0IC1fmecc_2uUai" \
    "hKdqJVtdEljxJkKNMPhpTDJ1iUob5gUhf936BDoTzwmqNPuWPYQo0rl9L3DZwCDg_NiavzwWr_mq5E3b" \
    "srNOhglqCi817Dq__fID9FKuQYe1NTfsi"
#define TOKEN_EDDSA \
    "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0._C6MMpXmGz-13VL" \
    "6ZNyzoqKWJF0YCS82PunnKKR_b5aLVJUwfmyappe4-8p32DtJqs50dvs_zo6WxH0ahqv2Ag"
#define TOKEN_PS256_SALT_20 \
    "eyJhbGciOiJQUzI1NiJ9.e30.wpXjuRJJCDJnGDaqm_1Gk-2VR-s6nr7sEZQJNSDbvb0S2kny532G7_E" \
    "tplnfQ92nY8qqbk5ssSiEaKawQ4DyJWhvxqt7eF1iE8rFcbiFgUHiXaYK73d94GqiOu30K1oFPQJJK3A" \
    "IQGp6PRhK6cOVDAF6eNkxweVVhFqTCaP_4EOZA-s1IAU2_tx2P75EomacgYs6dEugSnKliLv6TY3Rz_N" \
    "iKb00ALwmL_DZ4Vddq7gPxvMx6ne7zq3wMq1rqCizz_vx4w5aafTzGTcFBwECWya5OHxfrhxfcqs0hym" \
    "tegYPwz-Rvq5psjLqqaHCycCGuZgiJEDU9OhLZx5lAfdeUw"
#define TOKEN_PEM_AS_SECRET \
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6NDEwMjQ0NDgwMH0.S_0b_0jsxeEnFPv" \
    "qZ4d1zXNVuzE1GZbpyJvxg4l1XIw"
#define TOKEN_ES256_DER \
    "eyJhbGciOiJFUzI1NiJ9.e30.MEYCIQCj4cxv2q9kbO9T1ysSM6cblJjAPWdjjQHeqLl9fG_xaQIhANX" \
    "3h_pV15Hz2x1zC3MeG9uLK07OwX02SOBCjNFK66Bz"
#endif
