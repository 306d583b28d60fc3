#compdef sse-notify
# zsh completion for sse-notify. Made by tools/make-pages.

_sse_notify_setting() {
    compadd -S = -- listener.default.address listener.default.role listener.default.mode listener.default.proxy_protocol streams.heartbeat streams.retry streams.queue streams.overflow streams.max_streams streams.max_streams_per_user streams.max_streams_per_ip streams.max_age streams.allow_anonymous journal.type journal.path journal.sync journal.keep journal.keep_per_user journal.keep_bytes journal.window journal.redis_url journal.redis_sentinels journal.redis_sentinel_name journal.redis_prefix journal.redis_timeout journal.node_name publish.max_payload publish.max_body publish.idempotency_window publish.allow_anonymous auth.subscribe auth.publish auth.cookie auth.publish_keys_file auth.jwt_key_file auth.jwks_file auth.jwks_url auth.issuer auth.audience auth.user_claim auth.leeway auth.algorithms auth.revocation_time limits.publishes_per_second_per_key limits.streams_per_second_per_ip limits.max_memory http.header_timeout http.body_timeout http.idle_timeout http.max_header http.allowed_origins http.server_names http.trusted_proxies http.proxy_header webhooks.url webhooks.secret_file webhooks.grace webhooks.timeout webhooks.keep_trying webhooks.queue log.level log.format log.file server.drain_time server.user server.io_uring
}

_sse-notify() {
    local command=$words[2]
    if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
        local -a commands=('serve:run the daemon (what happens without a command)' 'send:send a notification' 'tail:follow a user'\''s stream and print what comes' 'status:show how the daemon is, once or again and again' 'token:make a token for development' 'key:make a key by which a backend may send' 'journal:check, export, back up or repair the journal on disk' 'bench:measure what streams and notifications cost on this machine' 'check-config:check the configuration and end' 'version:print the version')
        _describe command commands
        return
    fi
    [[ $command == -* ]] && command=serve
    if [[ $command == journal ]]; then
        if (( CURRENT == 3 )); then
            local -a commands=('check:whether it is whole' 'stats:what is in it' 'export:write it as lines of JSON' 'import:read such lines' 'backup:copy it, also while the daemon runs' 'repair:save what is whole of a damaged one' 'compact:make its file as small as it can be')
            _describe command commands
            return
        fi
        command="journal $words[3]"
        shift words
        (( CURRENT-- ))
    fi
    if [[ $words[2] != -* ]]; then
        shift words
        (( CURRENT-- ))
    fi
    case $command in
    'serve')
        _arguments -s \
            '(-c --config)-c[read FILE]:file:_files' \
            '(-c --config)--config[read FILE]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:section.key=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:section.key=value:_sse_notify_setting' \
            '(-h --help)-h[show this help]' \
            '(-h --help)--help[show this help]'
        ;;
    'send')
        _arguments -s \
            '(-u --user)-u[to this user]:id:' \
            '(-u --user)--user[to this user]:id:' \
            '(-t --topic)-t[to all that follow the topic]:name:' \
            '(-t --topic)--topic[to all that follow the topic]:name:' \
            '--broadcast[to everyone]' \
            '(-e --event)-e[the event'\''s name]:name:' \
            '(-e --event)--event[the event'\''s name]:name:' \
            '--ttl[kept this long for those away now]:seconds:' \
            '--collapse-key[replaces an older one of this key]:key:' \
            '--idempotency-key[sent once, however often it is repeated with this key]:key:' \
            '--text[DATA is a string even where it is valid JSON]' \
            '--retry[after a lost connection, 429, 502, 503 or 504 try N more times]:n:' \
            '--timeout[for one try, as 10, 1.5s or 500ms]:time:' \
            '(-j --json)-j[print the server'\''s answer as it is]' \
            '(-j --json)--json[print the server'\''s answer as it is]' \
            '(-q --quiet)-q[print errors only]' \
            '(-q --quiet)--quiet[print errors only]' \
            '(-c --config)-c[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '(-c --config)--config[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '--url[where the daemon is]:url:' \
            '--unix[connect to this Unix socket]:path:_files' \
            '--token[the credential]:token:' \
            '--cacert[trust the certificates in this PEM file]:file:_files' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'tail')
        _arguments -s \
            '(-t --topic)-t[follow this topic too]:name:' \
            '(-t --topic)--topic[follow this topic too]:name:' \
            '--last-event-id[begin with what came after ID]:id:' \
            '(-1 --once)-1[end after one event]' \
            '(-1 --once)--once[end after one event]' \
            '(-n --count)-n[end after N events]:n:' \
            '(-n --count)--count[end after N events]:n:' \
            '(-j --json)-j[print each event as a line of JSON]' \
            '(-j --json)--json[print each event as a line of JSON]' \
            '--no-reconnect[end when the stream does]' \
            '--timeout[for connecting, up to the answer'\''s head]:time:' \
            '--idle[reconnect when nothing came for so long, not even a heartbeat]:time:' \
            '(-q --quiet)-q[no word on gaps and reconnects, only on what ends it]' \
            '(-q --quiet)--quiet[no word on gaps and reconnects, only on what ends it]' \
            '(-c --config)-c[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '(-c --config)--config[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '--url[where the daemon is]:url:' \
            '--unix[connect to this Unix socket]:path:_files' \
            '--token[the credential]:token:' \
            '--cacert[trust the certificates in this PEM file]:file:_files' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'status')
        _arguments -s \
            '(-w --watch)-w[look again and again, and show what comes in a second]' \
            '(-w --watch)--watch[look again and again, and show what comes in a second]' \
            '--interval[from one look to the next]:time:' \
            '(-n --count)-n[watch, and end after N looks]:n:' \
            '(-n --count)--count[watch, and end after N looks]:n:' \
            '(-j --json)-j[print the answer of GET /stats, a line for each look]' \
            '(-j --json)--json[print the answer of GET /stats, a line for each look]' \
            '(-c --config)-c[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '(-c --config)--config[where no URL is given\: the daemon'\''s configuration, for its address and, if it has a secret for tokens, a credential]:file:_files' \
            '--url[where the daemon is]:url:' \
            '--unix[connect to this Unix socket]:path:_files' \
            '--token[the credential]:token:' \
            '--cacert[trust the certificates in this PEM file]:file:_files' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'token')
        _arguments -s \
            '(-u --user)-u[the user that it names]:id:' \
            '(-u --user)--user[the user that it names]:id:' \
            '--ttl[how long it is good, as 90s, 15min or 1h]:time:' \
            '(-t --topic)-t[it may follow this topic]:name:' \
            '(-t --topic)--topic[it may follow this topic]:name:' \
            '--subscribe[it may listen to these\: user\:NAME, user\:*, topic\:*]:pattern:' \
            '--publish[it may send to these\: user\:NAME, user\:*, topic\:NAME, topic\:*, broadcast]:pattern:' \
            '--key[sign with this private key (PEM) or secret]:file:_files' \
            '--kid[the key'\''s name in the JWK Set]:id:' \
            '--issuer[as \[issuer.NAME\] wants it, and not \[auth\]]:name:' \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'key')
        _arguments -s \
            '(-a --allow)-a[it may send to these only\: user\:NAME, user\:*, topic\:NAME, topic\:*, broadcast]:pattern:' \
            '(-a --allow)--allow[it may send to these only\: user\:NAME, user\:*, topic\:NAME, topic\:*, broadcast]:pattern:' \
            '--rate[notifications that it may send a second]:n:' \
            '(-f --file)-f[the file with the keys]:file:_files' \
            '(-f --file)--file[the file with the keys]:file:_files' \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'bench')
        _arguments -s \
            '(-n --streams)-n[streams to open]:n:' \
            '(-n --streams)--streams[streams to open]:n:' \
            '--users[whose they are in turn, or have none]:n:' \
            '(-t --seconds)-t[of each phase]:time:' \
            '(-t --seconds)--seconds[of each phase]:time:' \
            '--payload[of a notification]:bytes:' \
            '(-j --json)-j[print all figures, as one JSON object]' \
            '(-j --json)--json[print all figures, as one JSON object]' \
            '(-q --quiet)-q[show no progress on a terminal]' \
            '(-q --quiet)--quiet[show no progress on a terminal]' \
            '--pid[the server'\''s process, whose memory and processor time are told]:pid:' \
            '--core[tell with --json how busy this core was, by whatever]:n:' \
            '--url[where the streams are]:url:' \
            '--publish-url[where to publish]:url:' \
            '--token[the credential for both]:token:' \
            '--header[send it with every request]:'\''name: value'\'':' \
            '--opening[streams being opened at once]:n:' \
            '--slow[so many of the streams read slowly]:n:' \
            '--slow-rate[a second]:bytes:' \
            '--open-limit[all must be open by then]:time:' \
            '--settle[from then to the first phase]:time:' \
            '--look[look for what came this often, and never be woken]:time:' \
            '--processes[that hold the streams]:n:' \
            '--sources[connect from so many addresses 127.1.X.Y]:n:' \
            '--stream-path[of another server\: a path with {user}, {stream}]:path:_files' \
            '--publish-path[likewise, with {user}]:path:_files' \
            '--publish-body[with {user} and {payload}]:text:' \
            '--publish-type[its content type]:type:' \
            '--fanout-path[where to publish to all]:path:_files' \
            '--fanout-body[and what, with {payload}]:text:' \
            '--crowd[so many of the streams have no user, and they alone get what is published to all]:n:' \
            '--crowd-path[of their streams]:path:_files' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'check-config')
        _arguments -s \
            '(-c --config)-c[read FILE]:file:_files' \
            '(-c --config)--config[read FILE]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:section.key=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:section.key=value:_sse_notify_setting' \
            '(-h --help)-h[show this help]' \
            '(-h --help)--help[show this help]'
        ;;
    'version')
        _arguments -s \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]'
        ;;
    'journal check')
        _arguments -s \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal stats')
        _arguments -s \
            '(-n --biggest)-n[show so many of the channels with the most entries]:n:' \
            '(-n --biggest)--biggest[show so many of the channels with the most entries]:n:' \
            '(-j --json)-j[print one JSON object]' \
            '(-j --json)--json[print one JSON object]' \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal export')
        _arguments -s \
            '(-u --user)-u[what was sent to this user]:id:' \
            '(-u --user)--user[what was sent to this user]:id:' \
            '(-t --topic)-t[what was sent to this topic]:name:' \
            '(-t --topic)--topic[what was sent to this topic]:name:' \
            '--broadcast[what was sent to everyone]' \
            '--after[what came behind this id]:id:' \
            '--plain[entries alone, as POST /notify takes them\: without id and time, the ttl as what is left of it]' \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal import')
        _arguments -s \
            '--append[add to a journal that is in use\: entries get new ids, behind all others]' \
            '--new-epoch[draw a new epoch in any case\: FILE is older than ids that streams may come back with]' \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal backup')
        _arguments -s \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal repair')
        _arguments -s \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    'journal compact')
        _arguments -s \
            '(-c --config)-c[the daemon'\''s configuration]:file:_files' \
            '(-c --config)--config[the daemon'\''s configuration]:file:_files' \
            '(-o --option)-o[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '(-o --option)--option[set one option over the file and the environment]:s.k=value:_sse_notify_setting' \
            '--path[the journal'\''s directory]:dir:_files -/' \
            '(-h --help)-h[print this and exit]' \
            '(-h --help)--help[print this and exit]' '*:file:_files'
        ;;
    esac
}

_sse-notify "$@"
