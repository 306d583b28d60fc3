# bash completion for sse-notify. Made by tools/make-pages.

_sse_notify()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command=${COMP_WORDS[1]} options="" words=""

    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 && $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "serve send tail status token key journal bench check-config version" -- "$current")
        return
    fi
    [[ $command == -* ]] && command=serve
    if [[ $command == journal ]]; then
        if [[ $COMP_CWORD -eq 2 && $current != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "check stats export import backup repair compact" -- "$current")
            return
        fi
        command="journal ${COMP_WORDS[2]}"
    fi
    # The words around a '=' are words of their own.
    if [[ $current == "=" ]]; then
        previous=$current current=""
    fi
    case $previous in
    -c | --config | --cacert | --unix | --path)
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames
        return
        ;;
    -o | --option)
        mapfile -t COMPREPLY < <(compgen -W "listener.default.address= listener.default.role= listener.default.mode= listener.default.proxy_protocol= streams.heartbeat= streams.retry= streams.queue= streams.overflow= streams.max_streams= streams.max_streams_per_user= streams.max_streams_per_ip= streams.max_age= streams.allow_anonymous= journal.type= journal.path= journal.sync= journal.keep= journal.keep_per_user= journal.keep_bytes= journal.window= journal.redis_url= journal.redis_sentinels= journal.redis_sentinel_name= journal.redis_prefix= journal.redis_timeout= journal.node_name= publish.max_payload= publish.max_body= publish.idempotency_window= publish.allow_anonymous= auth.subscribe= auth.publish= auth.cookie= auth.publish_keys_file= auth.jwt_key_file= auth.jwks_file= auth.jwks_url= auth.issuer= auth.audience= auth.user_claim= auth.leeway= auth.algorithms= auth.revocation_time= limits.publishes_per_second_per_key= limits.streams_per_second_per_ip= limits.max_memory= http.header_timeout= http.body_timeout= http.idle_timeout= http.max_header= http.allowed_origins= http.server_names= http.trusted_proxies= http.proxy_header= webhooks.url= webhooks.secret_file= webhooks.grace= webhooks.timeout= webhooks.keep_trying= webhooks.queue= log.level= log.format= log.file= server.drain_time= server.user= server.io_uring=" -- "$current")
        compopt -o nospace
        return
        ;;
    =)
        local key=${COMP_WORDS[COMP_CWORD - 1]}
        [[ $key == "=" ]] && key=${COMP_WORDS[COMP_CWORD - 2]}
        case $key in
        listener.default.role) words="public internal all" ;;
        listener.default.proxy_protocol) words="yes no" ;;
        streams.overflow) words="catchup drop-oldest disconnect" ;;
        streams.allow_anonymous) words="yes no" ;;
        journal.type) words="disk memory redis" ;;
        journal.sync) words="always interval never" ;;
        publish.allow_anonymous) words="yes no" ;;
        auth.subscribe) words="none jwt" ;;
        http.proxy_header) words="x-forwarded-for forwarded" ;;
        log.level) words="debug info warning error" ;;
        log.format) words="text json" ;;
        server.io_uring) words="auto on off" ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
        return
        ;;
    esac
    case $command in
    "serve") options="-c --config -o --option -h --help" ;;
    "send") options="-u --user -t --topic --broadcast -e --event --ttl --collapse-key --idempotency-key --text --retry --timeout -j --json -q --quiet -c --config --url --unix --token --cacert -h --help" ;;
    "tail") options="-t --topic --last-event-id -1 --once -n --count -j --json --no-reconnect --timeout --idle -q --quiet -c --config --url --unix --token --cacert -h --help" ;;
    "status") options="-w --watch --interval -n --count -j --json -c --config --url --unix --token --cacert -h --help" ;;
    "token") options="-u --user --ttl -t --topic --subscribe --publish --key --kid --issuer -c --config -o --option -h --help" ;;
    "key") options="-a --allow --rate -f --file -c --config -o --option -h --help" ;;
    "bench") options="-n --streams --users -t --seconds --payload -j --json -q --quiet --pid --core --url --publish-url --token --header --opening --slow --slow-rate --open-limit --settle --look --processes --sources --stream-path --publish-path --publish-body --publish-type --fanout-path --fanout-body --crowd --crowd-path -h --help" ;;
    "check-config") options="-c --config -o --option -h --help" ;;
    "version") options="-h --help" ;;
    "journal check") options="-c --config -o --option --path -h --help" ;;
    "journal stats") options="-n --biggest -j --json -c --config -o --option --path -h --help" ;;
    "journal export") options="-u --user -t --topic --broadcast --after --plain -c --config -o --option --path -h --help" ;;
    "journal import") options="--append --new-epoch -c --config -o --option --path -h --help" ;;
    "journal backup") options="-c --config -o --option --path -h --help" ;;
    "journal repair") options="-c --config -o --option --path -h --help" ;;
    "journal compact") options="-c --config -o --option --path -h --help" ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    elif [[ $command == "journal "* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames
    fi
}

complete -F _sse_notify sse-notify
