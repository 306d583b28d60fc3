-- redis.lua - the record in Redis, and every change of it. A call is one step, done whole or not at
-- all: EVALSHA ... 1 P OPERATION ARGUMENT...
--
-- P, the prefix, has a hash tag, so that all keys are in one slot:
--   P:meta           hash: epoch, begun (the id of the log behind which it begins), head (the newest
--                    number), run (the server's run_id), holes (numbers that were never given
--                    out), entries, bytes, evicted, lost_all, transient, control, swept
--   P:log            Stream: entry N has the id N-0, control events have N-M behind it
--   P:of:CHANNEL     Stream: the numbers of a channel that are kept, as ids N-0
--   P:lost           sorted set: CHANNEL by the highest number that a bound took from it
--   P:collapse:CHANNEL   hash: collapse key -> number
--   P:expires        sorted set: numbers by the millisecond in which their own ttl is over
--   P:key:KEY        an idempotency key's number, for as long as keys are remembered
-- A CHANNEL is 'u', 't' or 'e' and a name. Fields of an entry: o origin, c channel, r what was
-- sent, t the server's time in ms, x when its ttl is over, k collapse key, z sent with a ttl of 0.
-- Of a control event: d number retracted (0: the channel is erased), b: continuity is broken here.
--
-- Numbers go beyond 2^31 but never beyond 2^53: a Lua number holds them.

local P = KEYS[1]
local META, LOG, LOST, EXPIRES = P .. ':meta', P .. ':log', P .. ':lost', P .. ':expires'
local MAX_LOST = 100000      -- channels whose losses are remembered one by one
local TRANSIENT_MS = 60000   -- how long a ttl of 0 lasts for a node that is away
local MOST_LOST = 1000000    -- numbers that a server may have given out and forgotten, if clocks err
local ENTRY_COST = 480       -- bytes of memory besides what was sent, about

local USER = string.byte('u')

local call = redis.call

local function text(n)
  return string.format('%.0f', n)
end

local function now_us()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

local function index_of(channel)
  return P .. ':of:' .. channel
end

local function fields_of(list)
  local f = {}
  for i = 1, #list, 2 do
    f[list[i]] = list[i + 1]
  end
  return f
end

-- What drop and evict change; whoever calls them writes it back.
local entries, evicted = 0, 0

-- Takes an entry out of everything. Returns the bytes that it took (0: it is not kept), and its
-- fields.
local function drop(seq)
  local id = seq .. '-0'
  local found = call('XRANGE', LOG, id, id)[1]
  if not found then
    return 0
  end
  local f = fields_of(found[2])
  call('XDEL', LOG, id)
  if not f.z then
    local index = index_of(f.c)
    call('XDEL', index, id)
    if call('XLEN', index) == 0 then
      call('DEL', index)
    end
  end
  if f.k then
    local collapse = P .. ':collapse:' .. f.c
    if call('HGET', collapse, f.k) == seq then
      call('HDEL', collapse, f.k)
    end
  end
  if f.x then
    call('ZREM', EXPIRES, seq)
  end
  entries = entries - 1
  return ENTRY_COST + #f.r + 2 * #f.c, f
end

-- An entry goes because of a bound, which whoever has not got it must be told.
local function evict(seq)
  local size, f = drop(seq)
  if not f then
    return 0
  end
  evicted = evicted + 1
  if f.z then
    call('HSET', META, 'transient', seq)
    return size
  end
  if call('ZADD', LOST, 'GT', seq, f.c) == 1 and call('ZCARD', LOST) > MAX_LOST then
    call('HSET', META, 'lost_all', call('ZPOPMIN', LOST)[2])
  end
  return size
end

local function number_in(id)
  return string.match(id, '^%d+')
end

-- Takes the oldest of the log; a control event that comes first has been heard. Returns the bytes,
-- or false: there is nothing.
local function evict_oldest()
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if not first then
    return false
  end
  if string.sub(first[1], -2) == '-0' then
    return evict(number_in(first[1]))
  end
  call('XDEL', LOG, first[1])
  return 0
end

-- What was dropped and evicted outside of an append, written back.
local function settle(freed)
  if entries == 0 then
    return
  end
  call('HINCRBY', META, 'bytes', 0 - freed)
  call('HINCRBY', META, 'entries', entries)
  call('HINCRBY', META, 'evicted', evicted)
end

local function add_control(head, ...)
  local id = head .. '-' .. call('HINCRBY', META, 'control', 1)
  call('XADD', LOG, id, 't', text(now_us() / 1000), ...)
  return id
end

local operations = {}

-- run_id, the epoch that the node knows (or ''), the newest number that it has seen, an epoch to take
-- if a new one is due. Answers {epoch, head, control, transient, entries, bytes, evicted, now in ms,
-- begun, holes}: holes are FROM-TO with a blank between them, the newest first, and numbers between
-- the two were never given out.
--
-- A server that was started anew, or took over, may have lost the last of what it had answered.
-- Numbers go on far above, at the clock's microseconds, so that none is given out twice; that a node
-- has seen one that this server does not know of, in the hole between, is the proof that something
-- is lost: then ids get a new epoch.
function operations.adopt(run, known, seen, new_epoch)
  local m = call('HMGET', META, 'epoch', 'head', 'run', 'holes')
  local epoch, head, holes = m[1], tonumber(m[2] or 0), m[4] or ''
  seen = tonumber(seen)
  if not epoch then
    epoch = new_epoch
    head = math.max(now_us(), seen + 1)
    call('HSET', META, 'epoch', epoch, 'head', text(head), 'run', run, 'holes', '', 'entries', 0,
         'bytes', 0, 'evicted', 0, 'lost_all', 0, 'transient', 0, 'control', 0, 'begun',
         text(head) .. '-0')
  elseif m[3] ~= run then
    local start = math.max(now_us(), head + MOST_LOST, seen + 1)
    holes = string.sub(text(head) .. '-' .. text(start) .. ' ' .. holes, 1, 1000)
    head = start
    call('HSET', META, 'head', text(head), 'run', run, 'holes', holes)
  end
  if known == epoch then
    for from, to in string.gmatch(holes, '(%d+)-(%d+)') do
      if seen > tonumber(from) and seen < tonumber(to) then
        epoch = new_epoch
      end
    end
    if epoch == new_epoch then
      head = math.max(now_us(), head + 1)
      holes = ''
      call('HSET', META, 'epoch', epoch, 'head', text(head), 'holes', holes, 'begun',
           add_control(text(head), 'b', epoch))
    end
  end
  local s = call('HMGET', META, 'control', 'transient', 'entries', 'bytes', 'evicted', 'begun')
  return {epoch, text(head), s[1], s[2], s[3], s[4], s[5], text(now_us() / 1000), s[6], holes}
end

-- One entry of an append. Returns its number and the bytes that it adds; of a known idempotency key
-- '=' and the first one's number alone.
local function append_one(seq, ms, window, keep_per_user, origin, channel, sent, ttl, collapse_key,
                          key)
  if key ~= '' then
    local first = call('GET', P .. ':key:' .. key)
    if first then
      return '=' .. first
    end
  end
  local id = seq .. '-0'
  local collapse = collapse_key ~= '' and P .. ':collapse:' .. channel
  if ttl == '' and not collapse then
    call('XADD', LOG, id, 'o', origin, 'c', channel, 'r', sent, 't', ms)
  else
    local entry = {'o', origin, 'c', channel, 'r', sent, 't', ms}
    if ttl ~= '' then
      local x = text(ms + (ttl == '0' and TRANSIENT_MS or ttl))
      entry[9], entry[10] = 'x', x
    end
    if collapse then
      entry[#entry + 1], entry[#entry + 2] = 'k', collapse_key
    end
    if ttl == '0' then
      entry[#entry + 1], entry[#entry + 2] = 'z', '1'
    end
    call('XADD', LOG, id, unpack(entry))
    if ttl ~= '' then
      call('ZADD', EXPIRES, entry[10], seq)
    end
  end
  if key ~= '' then
    call('SET', P .. ':key:' .. key, seq, 'PX', window)
  end
  local size = ENTRY_COST + #sent + 2 * #channel
  if collapse then
    local old = call('HGET', collapse, collapse_key)
    if old then
      size = size - drop(old)
    end
  end
  if ttl == '0' then
    return seq, size
  end
  if collapse then
    call('HSET', collapse, collapse_key, seq)
  end
  local index = index_of(channel)
  call('XADD', index, id, '', '')
  if string.byte(channel) == USER then
    local over = call('XLEN', index) - keep_per_user
    for _ = 1, math.min(over, 10) do
      size = size - evict(number_in(call('XRANGE', index, '-', '+', 'COUNT', 1)[1][1]))
    end
  end
  return seq, size
end

-- epoch, the window of idempotency keys in ms, entries kept of a user, bytes kept, and for each
-- entry: origin, channel, what is sent, ttl in ms ('': none of its own), collapse key, idempotency
-- key. Answers {EPOCH}, or {OK, entries, bytes, evicted, number of each}.
function operations.append(epoch, window, keep_per_user, keep_bytes)
  local m = call('HMGET', META, 'epoch', 'head', 'bytes', 'entries', 'evicted')
  if m[1] ~= epoch then
    return {'EPOCH'}
  end
  local out = {'OK', 0, 0, 0}
  local head, bytes = tonumber(m[2]), tonumber(m[3])
  local ms = text(now_us() / 1000)
  entries, evicted = tonumber(m[4]), tonumber(m[5])
  keep_per_user, keep_bytes = tonumber(keep_per_user), tonumber(keep_bytes)
  for i = 6, #ARGV, 6 do
    local number, size = append_one(text(head + 1), ms, window, keep_per_user, ARGV[i],
                                    ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
                                    ARGV[i + 5])
    out[#out + 1] = number
    if size then
      head = head + 1
      bytes = bytes + size
      entries = entries + 1
    end
  end
  -- More goes than came in, but no call takes long.
  for _ = 1, #out do
    local freed = bytes > keep_bytes and evict_oldest()
    if not freed then
      break
    end
    bytes = bytes - freed
  end
  out[2], out[3], out[4] = text(entries), text(bytes), text(evicted)
  call('HSET', META, 'head', text(head), 'bytes', out[3], 'entries', out[2], 'evicted', out[4])
  return out
end

-- after, until, most entries, most bytes, CHANNEL... Answers {covered, {lost of each channel},
-- {{number, what was sent, channel's place}...}}.
function operations.page(after, till, most, most_bytes, ...)
  local channels = {...}
  local m = call('HMGET', META, 'head', 'lost_all')
  local covered = math.min(tonumber(till), tonumber(m[1] or 0))
  local from = text(tonumber(after) + 1) .. '-0'
  local to = text(covered) .. '-0'
  local now = now_us() / 1000
  local numbers, lost, out, bytes = {}, {}, {}, 0
  most, most_bytes = tonumber(most), tonumber(most_bytes)
  for i, channel in ipairs(channels) do
    local forgotten = tonumber(m[2] or 0)
    lost[i] = text(math.max(tonumber(call('ZSCORE', LOST, channel) or 0), forgotten))
    if covered > tonumber(after) then
      local found = call('XRANGE', index_of(channel), from, to, 'COUNT', most + 1)
      for _, e in ipairs(found) do
        numbers[#numbers + 1] = {tonumber(number_in(e[1])), i}
      end
      if #found == most + 1 then -- nothing behind it may come before what is cut off
        to = found[#found][1]
        covered = tonumber(number_in(to))
      end
    end
  end
  table.sort(numbers, function(a, b) return a[1] < b[1] end)
  local last = tonumber(after)
  for _, n in ipairs(numbers) do
    if n[1] > covered then
      break
    end
    if #out == most or (#out > 0 and bytes >= most_bytes) then
      return {text(last), lost, out}
    end
    local id = text(n[1]) .. '-0'
    local found = call('XRANGE', LOG, id, id)[1]
    if found then
      local f = fields_of(found[2])
      if not f.x or tonumber(f.x) > now then
        out[#out + 1] = {text(n[1]), f.r, n[2] - 1}
        bytes = bytes + #f.r
      end
    end
    last = n[1]
  end
  return {text(math.max(covered, tonumber(after))), lost, out}
end

-- epoch, origin, channel, number. Answers {outcome, how many, head}; outcome: OK or EPOCH.
function operations.retract(epoch, origin, channel, seq)
  local m = call('HMGET', META, 'epoch', 'head')
  if m[1] ~= epoch then
    return {'EPOCH'}
  end
  local id = seq .. '-0'
  local found = call('XRANGE', LOG, id, id)[1]
  local f = found and fields_of(found[2])
  if not f or f.c ~= channel or f.z then
    return {'OK', 0, m[2]}
  end
  settle(drop(seq))
  add_control(m[2], 'o', origin, 'c', channel, 'd', seq)
  return {'OK', 1, m[2]}
end

-- epoch, origin, channel, up to which number ('' now: the first call, which is told to all nodes),
-- how many at most. Answers {outcome, how many, up to which number, whether there are more}.
function operations.erase(epoch, origin, channel, till, most)
  local m = call('HMGET', META, 'epoch', 'head')
  if m[1] ~= epoch then
    return {'EPOCH'}
  end
  local is_first = till == ''
  if is_first then
    till = m[2]
  end
  local found = call('XRANGE', index_of(channel), '-', till .. '-0', 'COUNT', most)
  local freed = 0
  for _, e in ipairs(found) do -- first: a server without memory takes nothing before that
    freed = freed + drop(number_in(e[1]))
  end
  settle(freed)
  if is_first then
    add_control(m[2], 'o', origin, 'c', channel, 'd', '0')
  end
  return {'OK', #found, till, #found == tonumber(most) and 1 or 0}
end

-- most. Answers the number behind which no more channels than that have lost anything, and all of them
-- are remembered.
function operations.reach(most)
  local first = call('ZREVRANGE', LOST, most, most, 'WITHSCORES')[2]
  return text(math.max(tonumber(first or 0), tonumber(call('HGET', META, 'lost_all') or 0)))
end

-- after, most. Answers {lost_all, channel, number, ...} of what bounds took behind that number.
function operations.losses(after, most)
  local lost = call('ZRANGEBYSCORE', LOST, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, most)
  table.insert(lost, 1, call('HGET', META, 'lost_all') or '0')
  return lost
end

-- after which number, after which id of the log, most losses, most entries: for a node that finds
-- numbers missing in what it hears. Answers {lost_all, transient, {channel, number, ...},
-- {{id, {fields}}...}}, all as of one moment.
function operations.catch_up(after, id, most_lost, most)
  local m = call('HMGET', META, 'lost_all', 'transient')
  return {m[1] or '0', m[2] or '0',
          call('ZRANGEBYSCORE', LOST, '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, most_lost),
          call('XRANGE', LOG, '(' .. id, '+', 'COUNT', most)}
end

-- Takes what has outlived its time: keep in ms, how many at most. Answers {how many, entries, bytes,
-- evicted, age of the oldest in ms}. It writes each time, so that a node that does nothing else hears
-- whether the server takes anything.
function operations.sweep(keep, most)
  local ms = now_us() / 1000
  local due = call('ZRANGEBYSCORE', EXPIRES, '-inf', text(ms), 'LIMIT', 0, most)
  local freed = 0
  for _, seq in ipairs(due) do
    local size, f = drop(seq)
    freed = freed + size
    if f and f.z then
      call('HSET', META, 'transient', seq)
    elseif not f then
      call('ZREM', EXPIRES, seq)
    end
  end
  local left = tonumber(most) - #due
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  while left > 0 and first and tonumber(fields_of(first[2]).t) < ms - keep do
    freed = freed + evict_oldest()
    left = left - 1
    first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  end
  settle(freed)
  call('HSET', META, 'swept', text(ms))
  local s = call('HMGET', META, 'entries', 'bytes', 'evicted')
  local age = first and math.max(ms - fields_of(first[2]).t, 0) or 0
  return {tonumber(most) - left, s[1], s[2], s[3], text(age)}
end

if ARGV[1] == 'append' then
  return operations.append(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
end
return operations[ARGV[1]](unpack(ARGV, 2))
