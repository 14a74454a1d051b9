-- Sends batches of events with random ids, with wrk:
--
--   MERCURIO_API_KEY=mk_… wrk -t1 -c64 -d20s --latency -s examples/load/batches.lua http://127.0.0.1:8080 -- 50
--
-- The last argument is the number of events per batch. Every response except a 200 with all events accepted is a failure.

local key = os.getenv("MERCURIO_API_KEY") or error("set MERCURIO_API_KEY")
size = 50

function init(arguments)
  size = tonumber(arguments[1]) or size
  math.randomseed(os.time() * 1000 + math.floor(os.clock() * 1e6) % 1000)
  wrk.method = "POST"
  wrk.path = "/v1/events/batch"
  wrk.headers["Authorization"] = "Bearer " .. key
  wrk.headers["Content-Type"] = "application/json"
end

-- A UUIDv4.
local function id()
  local random = math.random
  return string.format("%04x%04x-%04x-4%03x-%04x-%04x%04x%04x", random(0, 65535), random(0, 65535), random(0, 65535),
    random(0, 4095), random(32768, 49151), random(0, 65535), random(0, 65535), random(0, 65535))
end

function request()
  local events = {}
  local now = os.date("!%Y-%m-%dT%H:%M:%S")
  for index = 1, size do
    events[index] = string.format(
      '{"event_id":"%s","type":"track","event_name":"order_completed","timestamp":"%s.%06dZ","user_id":"user-%d",'
        .. '"session_id":"session-%d","properties":{"order":%d,"total":129.90,"currency":"EUR","items":3,'
        .. '"coupon":null,"express":true},"context":{"app":{"name":"shop","version":"4.2.1"},"locale":"de-DE",'
        .. '"screen":{"width":1179,"height":2556}}}',
      id(), now, math.random(0, 999999), math.random(1, 100000), math.random(1, 100000), math.random(1, 1000000))
  end
  return wrk.format(nil, nil, nil, '{"events":[' .. table.concat(events, ",") .. "]}")
end

local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

failures = 0
requests = 0

function response(status, headers, body)
  requests = requests + 1
  if status ~= 200 or not body:find('"accepted":' .. size .. ',', 1, true) then
    failures = failures + 1
  end
end

function done(summary, latency)
  local answered, failed, size = 0, 0, threads[1]:get("size")
  for _, thread in ipairs(threads) do
    answered = answered + thread:get("requests")
    failed = failed + thread:get("failures")
  end
  local seconds = summary.duration / 1e6
  print(string.format("batches of %d: %.0f events/s, p50 %.1f ms, p90 %.1f ms, p99 %.1f ms, %d requests, %d failed", size,
    (answered - failed) * size / seconds, latency:percentile(50) / 1e3, latency:percentile(90) / 1e3,
    latency:percentile(99) / 1e3, answered, failed))
end
