-- Notes the token counts that a response ends with, as it passes: nothing is held
-- back, and no more than LIMIT bytes are kept. Works on JSON and on server-sent
-- events alike, wherever the body is split. The last object counts, and with it
-- the last one before it that counts input, if it does not itself.
local find, match, sub = string.find, string.match, string.sub

local LIMIT = 4096 -- of a usage object; real ones have some hundred bytes
local REACH = 256  -- how far a usage object begins before its first count

-- Keys that count tokens end like this. Inside of a JSON string, such as an
-- answer about this API, the quote would be escaped.
local COUNT = '_tokens"'

-- Returns the last complete usage object of text, if any, the last that counts
-- input, if any, and from where text must be kept to find one that is not complete.
local function last_usage(text)
  local object, input
  local keep = #text - REACH + 1
  local from = 1
  while true do
    local key, after = find(text, '"usage"', from, true)
    if not key then
      return object, input, keep
    end
    local brace = match(text, '^%s*:%s*(){', after + 1)
    if brace then
      local whole = match(text, '^%b{}', brace)
      if not whole then
        if #text - key < LIMIT and key < keep then
          keep = key
        end
        return object, input, keep
      end
      if #whole <= LIMIT and find(whole, COUNT, 1, true) then
        object = whole
        if find(whole, '"input_tokens"', 1, true) or find(whole, '"prompt_tokens"', 1, true) then
          input = whole
        end
        -- Done with: what follows is looked at without it.
        if keep < brace + #whole then
          keep = brace + #whole
        end
      end
      from = brace + #whole
    else
      from = after + 1
    end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if not kind or headers:get("content-encoding") then
    return
  end
  if not find(kind, "json", 1, true) and not find(kind, "text/event-stream", 1, true) then
    return
  end
  local kept = ""
  local begun = false -- a usage object that is not complete is kept
  local input         -- the last object that counts input
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local text = kept .. chunk:getBytes(0, length)
      if begun or find(text, COUNT, 1, true) then
        local object, counts_input, keep = last_usage(text)
        if object then
          input = counts_input or input
          if input and input ~= object then
            object = input .. "\30" .. object
          end
          -- At once: a client may hang up before the response is over.
          handle:streamInfo():dynamicMetadata():set("wye.usage", "usage", object)
        end
        kept = sub(text, keep > 1 and keep or 1)
        begun = find(kept, COUNT, 1, true) ~= nil
      else
        kept = sub(text, -REACH)
      end
    end
  end
end
