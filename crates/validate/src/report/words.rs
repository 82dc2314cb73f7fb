//! Every label and sentence of the report itself, in English and Korean, side by side so that neither can be forgotten. What the
//! judge says (reasons, findings, figures in words) is not here: it stays as it was said.

/// A language of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Korean.
    Ko,
}

impl Lang {
    /// The language tag of HTML.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ko => "ko",
        }
    }

    pub(super) const fn words(self) -> &'static Words {
        match self {
            Self::En => &EN,
            Self::Ko => &KO,
        }
    }
}

macro_rules! words {
    ($($name:ident: $en:literal, $ko:literal;)*) => {
        /// The words of one language. `{0}`, `{1}` are places for figures, see [`fill`].
        pub(super) struct Words { $(pub(super) $name: &'static str,)* }
        static EN: Words = Words { $($name: $en,)* };
        static KO: Words = Words { $($name: $ko,)* };
        /// Name, English, Korean of every entry.
        #[cfg(test)]
        pub(super) static ALL: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $ko),)*];
    };
}

/// Puts figures into the places of a sentence.
pub(super) fn fill(sentence: &str, figures: &[&str]) -> String {
    let mut text = String::with_capacity(sentence.len() + 32);
    let mut rest = sentence;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        let tail = &rest[open..];
        let figure = tail
            .find('}')
            .and_then(|close| Some((close, figures.get(tail[1..close].parse::<usize>().ok()?)?)));
        match figure {
            Some((close, figure)) => {
                text.push_str(figure);
                rest = &tail[close + 1..];
            }
            None => {
                text.push('{');
                rest = &tail[1..];
            }
        }
    }
    text.push_str(rest);
    text
}

words! {
    title: "Validation report", "검증 보고서";
    run: "Run", "실행 ID";
    profile: "Profile", "프로파일";
    started: "Started", "시작 시각";
    judged: "Criteria", "판정 기준";
    contents: "Contents", "목차";
    skip: "Skip to the report", "본문으로 건너뛰기";
    quoted_note: "", "안내: 판정기가 낸 문장 중 번역이 준비되지 않은 것은 영어 원문 그대로 표시합니다.";
    decision: "Decision", "판정";
    gloss_complete: "Everything that had to be shown was shown. Go on to the next stage.",
        "증명해야 할 것이 모두 증명되었습니다. 다음 단계로 진행하십시오.";
    gloss_conditional: "All 6 critical criteria pass, and at least 4 of the 6 high ones.",
        "필수(Critical) 기준 6개를 모두 통과했고, 주요(High) 기준 6개 중 4개 이상을 통과했습니다.";
    gloss_concerns: "All 6 critical criteria pass, but only 2 or 3 of the 6 high ones.",
        "필수(Critical) 기준 6개는 모두 통과했으나, 주요(High) 기준은 6개 중 2~3개만 통과했습니다.";
    gloss_no_go: "Do not go on to the next stage.", "다음 단계로 진행하지 마십시오.";
    evidence_class: "Evidence class", "증거 등급";
    class_record: "of record (the real market, at its own pace, for the whole duration)",
        "공식 기록 (실제 시장을 실제 속도로 전체 시간 동안 관측함)";
    class_rehearsal: "rehearsal (it proves nothing about the market)", "리허설 (시장에 대해서는 아무것도 증명하지 않음)";
    class_declared: "declared (which market the runner traded could not be observed)",
        "선언 (러너가 어느 시장에서 거래했는지 관측할 수 없었음)";
    system: "SYSTEM", "시스템 (SYSTEM)";
    system_q: "Did the software behave?", "소프트웨어가 올바르게 동작했는가?";
    strategy: "STRATEGY", "전략 (STRATEGY)";
    strategy_q: "Did the market pay?", "시장에서 수익이 났는가?";
    state_ok: "OK", "정상";
    state_failed: "FAILED", "실패";
    state_not_proven: "NOT PROVEN", "증명되지 않음";
    three_reasons: "What decided it", "판정을 결정한 이유";
    no_reasons: "The judge gave no reasons.", "판정기가 이유를 제시하지 않았습니다.";
    next: "What to do next", "다음에 할 일";
    next_go: "Next stage: {0}", "다음 단계: {0}";
    next_rehearsal: "A rehearsal releases nothing. {0}", "리허설 결과로는 아무것도 승인되지 않습니다. {0}";
    next_capped: "The decision is capped; the section \"What caps the decision\" says by what.",
        "판정에 상한이 적용되었습니다. 원인은 \"판정 상한의 원인\" 항목에 있습니다.";
    next_interrupted: "The run was interrupted; an interrupted run is never completed. Start a new one.",
        "실행이 중단되었습니다. 중단된 실행은 이어서 완료할 수 없으므로 새로 시작하십시오.";
    next_aborted: "Repair the cause of the abort, {0}: {1}", "중단 원인을 해결하십시오. {0}: {1}";
    next_criterion: "Repair {0} ({1}): found {2}, needed {3}.", "{0}({1}) 항목을 해결하십시오. 측정값: {2}, 기준: {3}.";
    next_prove: "Prove {0} ({1}): {2}", "{0}({1}) 항목을 증명하십시오: {2}";
    next_diagnosis: "The section \"Diagnosis\" answers what went wrong, each answer with the command to run next.",
        "\"진단\" 항목에 원인과 수정 후 실행할 명령이 있습니다.";
    next_no_opportunity: "No opportunity: the market offered nothing worth trading. That is an answer about the market, no reason to lower a threshold.",
        "기회 없음: 시장에 거래할 만한 기회가 없었습니다. 이는 시장에 대한 답이므로 이를 이유로 임계값을 낮추지 마십시오.";
    next_again: "Then run again: {0}", "그런 다음 다시 실행하십시오: {0}";
    smoke_only_judged: "No main run took place; what follows judges what the smoke showed.",
        "본 실행이 없었습니다. 아래 내용은 스모크 실행에서 드러난 것만 판정합니다.";
    nothing_ran: "No runner was started; there is nothing to show.", "러너가 시작되지 않아 표시할 내용이 없습니다.";

    criteria: "The 16 criteria", "판정 기준 16개";
    class_critical: "Critical", "필수 (Critical)";
    class_high: "High", "주요 (High)";
    class_medium: "Medium", "보조 (Medium)";
    col_id: "ID", "번호";
    col_criterion: "Criterion", "기준";
    col_outcome: "Outcome", "결과";
    col_value: "Value", "측정값";
    col_threshold: "Threshold", "임계값";
    col_evidence: "Evidence", "근거 파일";
    col_remark: "Remark", "비고";
    pass: "PASS", "통과 (PASS)";
    fail: "FAIL", "실패 (FAIL)";
    inconclusive: "INCONCLUSIVE", "판단 불가 (INCONCLUSIVE)";
    attested: "Settled by hand by {0}, evidence {1}.", "{0}이(가) 수동 확인함, 근거 {1}.";
    no_evidence_named: "none named", "지정된 파일 없음";
    none: "none", "없음";

    kpis: "KPIs", "핵심 성과 지표 (KPI)";
    col_number: "No.", "순번";
    col_kpi: "KPI", "지표";
    col_unit: "Unit", "단위";
    col_provenance: "Provenance", "출처";
    col_cross_check: "Cross-check", "교차 확인";
    col_aid: "Reading aid", "참고 범위";
    aid_note: "Reading aids help to read a value; they judge nothing.", "참고 범위는 값을 읽는 데 도움을 줄 뿐 판정에 쓰이지 않습니다.";
    undefined: "UNDEFINED: {0}", "정의되지 않음: {0}";
    not_applicable: "NOT APPLICABLE: {0}", "해당 없음: {0}";
    absent: "ABSENT: {0}", "값 없음: {0}";
    implausible: "IMPLAUSIBLE: {0}", "신뢰 불가: {0}";
    map_empty: "none counted", "집계된 항목 없음";
    agreed: "agrees: {0}", "일치: {0}";
    disagreed: "DISAGREES: {0}, but {1}", "불일치: {0}, 반면 {1}";
    no_cross_check: "not available: {0}", "확인 불가: {0}";
    unit_count: "count", "건";
    unit_times: "count", "회";
    unit_map: "count by name", "이름별 건수";
    from_runner: "runner", "러너";
    from_supervisor: "supervisor", "감독자";
    from_scrape: "scrape", "메트릭 수집";
    from_journal: "journal", "저널";
    from_store: "store", "알림 저장소";
    from_derived: "derived", "계산값";
    kpi_missing: "This KPI is missing from the analysis.", "분석 결과에 이 지표가 없습니다.";
    criterion_missing: "This criterion is missing from the analysis.", "분석 결과에 이 기준이 없습니다.";

    caps: "What caps the decision", "판정 상한의 원인";
    caps_note: "Because of these the decision cannot be a COMPLETE GO.", "다음 이유로 COMPLETE GO 판정은 나올 수 없습니다.";
    caps_none: "Nothing caps the decision.", "판정에 상한을 적용하는 원인이 없습니다.";
    plausibility: "Plausibility rules", "타당성 규칙";
    plausibility_none: "No plausibility rule was looked at: no runner was started.",
        "러너가 시작되지 않아 타당성 규칙을 확인하지 못했습니다.";
    col_rule: "Rule", "규칙";
    col_state: "State", "상태";
    col_figures: "Figures", "수치";
    col_touches: "Touches", "관련 지표";
    clean: "CLEAN", "이상 없음";
    violated: "VIOLATED", "위반";
    off: "OFF", "적용 안 됨";
    rules: "Watch rules", "감시 규칙";
    rules_note: "A rules stop the run, B rules warn and cap the decision. Each stands as it was when the run ended.",
        "A 규칙은 실행을 중지시키고, B 규칙은 경고하며 판정에 상한을 적용합니다. 상태는 실행이 끝난 시점의 것입니다.";
    col_condition: "Condition", "조건";
    col_detail: "Detail", "상세";
    rule_clear: "CLEAR", "정상";
    rule_fired: "FIRED", "발동";
    rule_unfired: "NOT FIRED", "발동 안 함";
    own_rule: "a rule of this profile", "이 프로파일의 규칙";
    window_here: "here: {0}", "이 실행에서는 {0}";
    not_built: "not built in this version", "이 버전에는 구현되지 않음";
    never_changed: "never violated", "위반된 적 없음";
    window_too_long: "could not fire: it needs {0} s, {1} s were watched",
        "발동할 수 없었음: {0}초가 필요하나 {1}초만 감시됨";
    declared_off: "declared not applicable: {0}", "해당 없음으로 선언됨: {0}";
    since: "{0} s after the start: {1}", "시작 {0}초 후: {1}";
    abort: "The run was aborted by {0}, {1} s after the phase's start: {2}", "{0}에 의해 단계 시작 {1}초 후 중단됨: {2}";
    interrupted_by: "The run was interrupted: {0}", "실행이 중단됨: {0}";

    money: "Where the money came from", "손익의 구성";
    money_note: "USD, added up from the journal. Total = trading + FX effect, at marks; gross - fees = net, of what was closed or unwound.",
        "단위는 USD이며 저널에서 합산했습니다. 총손익 = 거래 손익 + 환율 효과(평가 기준), 청산·정리된 거래의 총이익 - 수수료 = 순손익입니다.";
    money_unknown: "The parts of the result are not on record: {0}", "손익의 구성이 기록되지 않았습니다: {0}";
    col_amount: "Amount", "항목";
    col_usd: "USD", "금액(USD)";
    exit_reasons: "Exit reasons", "청산 사유";
    exits_none: "No round trip was closed.", "완료된 왕복 거래가 없습니다.";
    exits_unknown: "Exit reasons are not on record: {0}", "청산 사유가 기록되지 않았습니다: {0}";
    no_source: "neither the journal nor the KPI file names them", "저널과 KPI 파일 어디에도 없습니다";
    guards_unknown: "Guard triggers by type are not on record: {0}", "유형별 가드 발동이 기록되지 않았습니다: {0}";
    log_unknown: "The phase has no end record: the log was not collected. Counts as of the last poll.",
        "단계 종료 기록이 없어 로그가 수집되지 않았습니다. 마지막 폴링 시점의 집계입니다.";
    log_never: "The phase has no end record and no poll: nothing is known about its log.",
        "단계 종료 기록과 폴링 기록이 모두 없어 로그에 대해 알 수 없습니다.";
    crashes_unknown: "The phase has no end record: crash blocks were not collected; see the console log.",
        "단계 종료 기록이 없어 크래시 블록이 수집되지 않았습니다. 콘솔 로그를 확인하십시오.";
    not_seen: "No entry for: {0}.", "기록된 건이 없는 항목: {0}.";
    col_reason: "Reason", "사유";
    col_count: "Count", "건수";
    funnel: "Funnel", "퍼널";
    funnel_note: "From market data to a closed round trip: where opportunities ended.",
        "시세 수신부터 왕복 거래 완료까지, 기회가 어느 단계에서 사라졌는지 보여 줍니다.";
    funnel_units: "Down to \"blocked\" the counts are evaluations: an opportunity counts with every book update while it lasts. From \"sent\" on they are trades; \"rejected\" and \"partly filled\" are single orders.",
        "'차단됨' 단계까지는 평가 횟수이므로, 기회가 이어지는 동안 호가가 갱신될 때마다 다시 집계됩니다. '주문 전송' 단계부터는 거래 건수이며, '거부됨'과 '부분 체결'은 개별 주문 건수입니다.";
    funnel_several: "Several guards may block one opportunity; each then counts it.",
        "기회 하나를 여러 가드가 동시에 차단할 수 있으며, 이 경우 가드별로 각각 집계됩니다.";
    funnel_none: "There is no funnel on record: {0}", "퍼널 기록이 없습니다: {0}";
    col_stage: "Stage", "단계";
    spreads: "Where gap and edge stood", "갭과 엣지의 분포";
    spreads_note: "The most evaluated symbols, each in the direction whose edge came highest, in bps. Nothing is traded below an edge of the threshold; the break-even gap is the one from which a round trip pays at the level of the start.",
        "평가 횟수가 많은 종목별로 엣지가 가장 높았던 방향의 값입니다(단위 bps). 엣지가 임계값 미만이면 거래하지 않으며, 손익분기 갭은 시작 시점의 기준선에서 왕복 거래가 이익이 되는 갭입니다.";
    spreads_none: "No percentiles of gap and edge are on record.", "갭과 엣지의 분포 기록이 없습니다.";
    books: "Books: trust and universe", "호가창 신뢰도와 대상 종목";
    trust_note: "For what share of the time in which a symbol was followed its books could be trusted: live, on a venue that was neither down nor frozen. The worst symbols come first; each venue's own share and its reasons add up to 100 %.",
        "종목을 추적한 시간 중 호가창을 신뢰할 수 있었던 비율입니다. 신뢰할 수 있다는 것은 호가창이 실시간으로 갱신되고 거래소가 중단되거나 멈추지 않았음을 뜻합니다. 비율이 낮은 종목부터 표시하며, 거래소별 비율과 그 사유를 더하면 100 %가 됩니다.";
    trust_none: "No trust times of the books are on record: {0}", "호가창 신뢰 시간 기록이 없습니다: {0}";
    trust_mean: "Both books of a symbol were trusted for {0} % of the time on average over {1} symbols; the worst was {2} with {3} %.",
        "종목 {1}개 평균으로 전체 시간의 {0} % 동안 양쪽 호가창을 모두 신뢰할 수 있었습니다. 가장 낮은 종목은 {2}({3} %)입니다.";
    trust_more: "{0} more symbols, from {1} % to {2} %", "나머지 종목 {0}개({1} % ~ {2} %)";
    trust_whole: "no other time", "해당 없음";
    col_followed: "Followed, s", "추적 시간(초)";
    col_both: "Both, %", "양쪽(%)";
    col_upbit_pct: "Upbit, %", "업비트(%)";
    col_binance_pct: "Binance, %", "바이낸스(%)";
    col_why_not: "Why not for the rest", "나머지 시간의 사유";
    universe: "Universe", "대상 종목 변경";
    universe_story: "{0} symbols were asked for; {1} were members at the start and {2} at the end. Refreshes taken: {3}.",
        "요청한 종목 수는 {0}개이며, 시작 시 {1}개, 종료 시 {2}개였습니다. 갱신 횟수: {3}.";
    universe_fewer: "At its lowest, {0} of {1} passed the filters. Fewer than asked for is said, never padded.",
        "필터를 통과한 종목은 가장 적을 때 {1}개 중 {0}개였습니다. 부족한 종목을 임의로 채우지 않습니다.";
    universe_steady: "No member changed and no market was halted.", "종목 변경과 거래 중단이 없었습니다.";
    universe_left_out: "{0} further changes are in the journal.", "그 밖의 변경 {0}건은 저널에 있습니다.";
    col_time_s: "At, s", "시점(초)";
    col_change: "Change", "변경";
    edges: "Decided against realised", "결정 시점과 체결 결과의 비교";
    edges_note: "What an entry promised when it was decided, and what its fills made of it; for round trips, what was left after all fees.",
        "진입 결정 시점에 기대한 엣지와 실제 체결로 얻은 엣지입니다. 왕복 거래의 실현값은 모든 수수료를 뺀 결과입니다.";
    edges_entries: "Entries", "진입";
    edges_trips: "Round trips", "왕복 거래";
    edges_slippage: "Latency and depth cost {0} USD on the way in and out.", "지연과 호가 깊이로 인한 비용은 진입과 청산을 합쳐 {0} USD입니다.";
    edges_slippage_won: "Latency and depth brought {0} USD on the way in and out.", "지연과 호가 깊이 덕분에 진입과 청산을 합쳐 {0} USD를 더 벌었습니다.";
    edges_slippage_none: "Latency and depth neither cost nor brought a cent on the way in and out.", "지연과 호가 깊이로 인한 손익은 진입과 청산을 합쳐 1센트 미만입니다.";
    col_symbol: "Symbol", "종목";
    col_direction: "Bought on", "매수 거래소";
    col_evaluations: "Evaluated", "평가 횟수";
    col_passed: "Evaluations above threshold / blocked; entries sent", "임계값 초과 평가 / 차단된 평가 / 전송된 진입";
    col_break_even: "Break-even gap", "손익분기 갭";
    col_gap: "Gap p10 / p50 / p90 / max", "갭 p10 / p50 / p90 / 최대";
    col_level: "Level p50", "기준선 p50";
    col_edge: "Edge p10 / p50 / p90 / max", "엣지 p10 / p50 / p90 / 최대";
    col_decided: "Decided, mean bps", "결정 시 평균(bps)";
    col_realised: "Realised, mean bps", "실현 평균(bps)";
    col_both_usd: "Decided / realised, USD", "결정 / 실현(USD)";
    guards: "Guard triggers by type", "가드 유형별 발동";
    guards_none: "No guard trigger is on record.", "가드 발동 기록이 없습니다.";
    col_guard: "Guard", "가드";
    shadows: "What the guards saved or cost", "가드가 막은 거래의 손익";
    shadows_note: "Every blocked intent lives on as a shadow position with liquidity of its own: the same orders, exits and fees, no effect on the account. Means with 95 % intervals, resampled by episodes. Information, no criterion.",
        "차단된 진입 의도는 별도의 유동성을 가진 가상(섀도) 포지션으로 계속 추적합니다. 주문·청산·수수료는 실제와 같고 계좌에는 영향이 없습니다. 평균과 95 % 구간은 에피소드 단위 재표집으로 계산했으며, 판정 기준이 아닌 참고 자료입니다.";
    shadows_none: "No blocked intent is on record, or the journal does not follow them.", "차단된 진입 의도가 기록되지 않았거나 저널이 추적하지 않습니다.";
    shadows_blocked: "Blocked intents (shadows)", "차단된 진입 의도(섀도)";
    shadows_taken: "Taken trades", "실제 거래";
    shadows_by_rule: "Shadows by the rule that blocked", "차단한 규칙별 섀도 포지션";
    shadows_saved: "The blocked intents would have lost: the guards saved {0} USD.", "차단된 의도는 손실을 냈을 것이며, 가드가 {0} USD를 아꼈습니다.";
    shadows_cost: "The blocked intents would have won: the guards cost {0} USD.", "차단된 의도는 이익을 냈을 것이며, 가드로 인해 {0} USD를 놓쳤습니다.";
    shadows_open: "The interval of the blocked intents holds 0: this run does not say whether the guards saved or cost.",
        "차단된 의도의 구간이 0을 포함하므로, 이 실행으로는 가드가 아꼈는지 놓쳤는지 알 수 없습니다.";
    shadows_few: "Too few episodes of blocked intents for an interval.", "차단된 의도의 에피소드가 적어 구간을 계산할 수 없습니다.";
    shadows_without: "Without a result: {0} shadows (still under way at the end, or given up). Left out because too many were under way: {1} intents.",
        "결과 없는 섀도 포지션: {0}개(종료 시 진행 중이었거나 포기됨). 동시에 진행 중인 수가 많아 제외된 의도: {1}개.";
    shadows_interval: "{0} to {1}", "{0}에서 {1}까지";
    col_trades: "Trades", "거래";
    col_episodes: "Episodes", "에피소드";
    col_mean_usd: "Mean net, USD", "평균 순손익, USD";
    col_interval: "95 % interval", "95 % 구간";
    col_sum_usd: "Sum, USD", "합계, USD";
    alerts: "Alerts by rule", "규칙별 알림";
    alerts_none: "No alert was raised in this phase.", "이 단계에서 발생한 알림이 없습니다.";
    alerts_unknown: "The alert rows could not be read: {0}", "알림 기록을 읽을 수 없습니다: {0}";

    latency: "Loop latency", "루프 지연";
    latency_note: "Per part of the run, from histogram increases inside it.", "실행 구간별 값으로, 구간 안의 히스토그램 증가분에서 계산했습니다.";
    latency_none: "No histogram of the loop latency was scraped.", "루프 지연 히스토그램이 수집되지 않았습니다.";
    col_part: "Part of the run", "구간";
    col_observations: "Observations", "관측 수";
    no_observation: "no observation", "관측 없음";
    memory: "Memory", "메모리";
    memory_axis: "PSS, MB", "PSS, MB";
    memory_none: "The operating system's memory figures were never read.", "운영체제의 메모리 수치를 읽지 못했습니다.";
    memory_growth: "Growth {0} % per hour (slope through the minima); plain end against start {1} %.",
        "시간당 증가율 {0} %(구간 최솟값의 기울기), 단순 시작 대비 종료 증가율 {1} %.";
    growth_unknown: "The growth per hour could not be determined: too little data after the settling time.",
        "안정화 시간 이후의 자료가 부족하여 시간당 증가율을 계산하지 못했습니다.";
    memory_limit: "H3 limit", "H3 한계";
    memory_no_limit: "The H3 limit is not drawn: no reading after the settling time.",
        "안정화 시간 이후의 측정값이 없어 H3 한계선을 그리지 않았습니다.";
    cpu: "CPU", "CPU 사용률";
    cpu_axis: "%, cores: {0}", "%, 코어 수: {0}";
    cpu_none: "The operating system's CPU figures were never read.", "운영체제의 CPU 수치를 읽지 못했습니다.";
    cpu_h2: "H2: mean 70 %", "H2: 평균 70 %";
    cpu_a5: "A5: 80 %", "A5: 80 % 한계";
    p99_h1: "H1: 80 ms", "H1: 80 ms 한계";
    p99_a4: "A4: 100 ms", "A4: 100 ms 한계";
    not_stated: "not determined", "계산되지 않음";
    chart_desc: "{0} readings over {1}; lowest {2}, highest {3}.", "{1} 동안 측정값 {0}개, 최저 {2}, 최고 {3}.";
    col_low: "Low", "최저";
    col_mean: "Mean", "평균";
    col_high: "High", "최고";

    log: "Log", "로그";
    log_lines: "lines", "전체 행";
    log_errors: "ERROR lines", "ERROR 행";
    log_warnings: "WARNING lines", "WARNING 행";
    log_criticals: "CRITICAL lines", "CRITICAL 행";
    log_dlq: "lines that say DLQ", "DLQ가 언급된 행";
    log_slots: "100 ms slots with an ERROR line", "ERROR 행이 있는 100 ms 구간";
    log_position: "\"Position limit\" lines", "\"Position limit\" 행";
    log_emergency: "\"Emergency stop\" lines", "\"Emergency stop\" 행";
    log_suspects: "crash block suspects", "크래시 의심 블록";
    log_dropped: "bytes dropped by the caps", "크기 제한으로 버려진 바이트";
    col_what: "What", "항목";
    top_errors: "Commonest errors", "가장 잦은 오류";
    top_errors_none: "No ERROR line was written.", "ERROR 행이 없었습니다.";
    col_line: "Line", "내용";
    crashes: "Crash blocks", "크래시 블록";
    crashes_none: "No crash block was found in the log.", "로그에서 크래시 블록이 발견되지 않았습니다.";
    crash_head: "{0}: {1} ({2}), {3} s after the start", "{0}: {1} ({2}), 시작 {3}초 후";
    crash_kind: "CRASH", "크래시";
    worker_died: "WORKER DIED", "작업 스레드 종료";
    handled: "HANDLED", "처리됨";
    crash_before: "Lines before it", "직전 로그";
    phase_smoke: "smoke", "스모크";
    phase_main: "main", "본 실행";
    diagnosis: "Diagnosis", "진단";
    diagnosis_none: "No question needed an answer.", "답변이 필요한 질문이 없었습니다.";
    answer_evidence: "Evidence", "근거";
    after_repair: "The command to run next", "다음에 실행할 명령";

    phases: "Phases", "단계";
    col_phase: "Phase", "단계 이름";
    col_planned: "Planned", "계획 시간";
    col_ran: "Ran", "실행 시간";
    col_end: "End", "종료";
    col_scrapes: "Scrapes missed", "수집 실패";
    not_started: "not started", "시작되지 않음";
    no_end_record: "no end record: interrupted", "종료 기록 없음: 중단됨";
    exit_code: "exit code {0}", "종료 코드 {0}";
    signal: "signal {0}", "시그널 {0}";
    exit_unknown: "exit status unknown", "종료 상태 알 수 없음";
    stop_sent: "asked to stop at {0} s", "{0}초에 정지 요청";
    killed: "had to be killed", "강제 종료함";
    leftovers: "processes left behind: {0}", "남은 프로세스: {0}";
    later_cause: "later cause {0}: {1}", "이후 원인 {0}: {1}";
    of: "{0} of {1}", "{1}회 중 {0}회";
    proof: "Round trip of the smoke", "스모크의 왕복 거래 증명";
    proof_market: "completed on the run's own market", "실행 대상 시장에서 그대로 완료됨";
    proof_planted: "completed on a planted gap at a local exchange", "로컬 거래소에 미리 심어 둔 가격 차이로 완료됨";
    proof_none: "not proven: {0}", "증명되지 않음: {0}";

    configuration: "Configuration", "설정";
    configuration_note: "Effective values of this run.", "이 실행에 실제로 적용된 값입니다.";
    col_setting: "Setting", "설정 항목";
    col_effective: "Effective value", "적용 값";
    set_about: "about", "설명";
    set_hash: "profile hash (SHA-256)", "프로파일 해시 (SHA-256)";
    set_mode: "mode", "모드";
    set_of_record: "built-in profile, not weakened", "기본 제공 프로파일 그대로 (완화 없음)";
    set_differences: "what makes the profile custom", "프로파일이 custom으로 분류된 이유";
    yes: "yes", "예";
    no: "no", "아니요";
    set_source: "data source", "데이터 소스";
    set_endpoints: "endpoints", "엔드포인트";
    set_hour: "what \"per hour\" means", "'시간당' 계산에서 1시간으로 보는 길이";
    set_smoke: "smoke", "스모크 실행";
    set_main: "main run", "본 실행 시간과 종목 수";
    duration_top: "{0}, Top {1}", "{0}, 상위 {1}종목";
    set_command: "runner command", "러너 명령";
    set_contract: "runner keeps Assay's contract (journal, metrics, alerts)", "Assay 계약 준수 러너 (저널, 메트릭, 알림)";
    set_metrics: "metrics", "메트릭 주소";
    set_stop: "stop signal and grace", "정지 시그널과 유예";
    set_progress: "progress signal", "진행 신호";
    set_pace: "pace (time_scale)", "진행 배율 (time_scale)";
    set_mapping: "what the runner calls things", "러너의 이름 대응";
    set_not_built: "what the runner says that its version does not hold", "러너의 이 버전에 아직 없는 기능";
    set_not_applicable: "declared not applicable", "해당 없음으로 선언된 항목";
    set_poll: "poll, scrape timeout", "수집 주기, 수집 제한 시간";
    set_graces: "start grace, overrun grace", "시작 유예, 초과 유예";
    set_handled: "a crash block counts as handled after", "크래시 블록을 처리된 것으로 보는 시간";
    set_interim: "interim KPIs every", "중간 KPI 출력 주기";
    set_windows: "rule windows", "규칙 시간 창";
    set_memory: "memory: settling time, least data, minima", "메모리: 안정화 시간, 최소 자료, 최솟값 구간";
    set_cores: "cores that make 100 % CPU", "CPU 100 %에 해당하는 코어 수";
    set_panels: "panel checks: core, alerting", "패널 점검: 핵심, 알림";
    set_limits: "least free disk, cap of a log file", "최소 여유 디스크, 로그 파일 상한";
    set_runner_config: "The runner's own settings (runner.config)", "러너 자체 설정 (runner.config)";
    set_console: "console", "콘솔 주소";
    set_dashboard: "dashboard that C6 asks", "C6이 조회하는 대시보드";
    set_stores: "stores: alerts, state", "저장소: 알림, 상태";
    set_notifiers: "required notifiers", "필수 알림 채널";
    set_alerts: "alerts go to", "알림 채널";
    set_exchange: "local exchange", "로컬 거래소";
    exchange_is: "market {0}, {1} symbols, seed {2}", "시장 {0}, 종목 {1}개, 시드 {2}";
    exchange_walks: "real price paths from {0}, seed {1}", "실제 가격 경로 {0}, 시드 {1}";
    set_gaps: "gaps planted on top", "추가로 심은 가격 차이";
    set_prices: "price paths", "가격 경로";
    prices_are: "{0}; from {1}, {2} common five-minute instants until {3}", "{0}; {1}부터 {3}까지 공통 5분 시점 {2}개";
    set_krw_usdt: "KRW-USDT", "KRW-USDT 환율";
    krw_usdt_is: "{0} at the start: median over the symbols of Upbit KRW / Binance USDT at each common five-minute instant, straight in between (there is no series of its own)", "시작 시 {0}: 공통 5분 시점마다 종목별 Upbit KRW / Binance USDT의 중앙값, 그 사이는 직선 (별도 시계열 없음)";
    set_ecb: "USD/KRW of the European Central Bank that day, for comparison", "당일 유럽중앙은행 USD/KRW (비교용)";
    set_planted: "planted gap", "미리 심는 가격 차이";
    planted_is: "{0} bps at {1} for {2}, run of {3}", "{1} 시점에 {0} bps, {2} 동안, 실행 {3}";
    environment: "Environment", "환경";
    env_version: "Assay version", "Assay 버전";
    env_os: "operating system", "운영체제";
    env_cores: "logical cores", "논리 코어";
    env_memory: "memory", "메모리 용량";
    env_unread: "could not be read", "읽을 수 없음";

    files: "Files", "파일";
    files_note: "All names are relative to the run folder.", "모든 이름은 실행 폴더 기준 상대 경로입니다.";
    col_file: "File", "파일 이름";
    col_purpose: "Purpose", "용도";
    file_missing: "not written", "기록되지 않음";
    f_metadata: "run id, versions, effective profile, machine", "실행 ID, 버전, 적용 프로파일, 장비";
    f_preflight: "preflight checks", "사전 점검 결과";
    f_preflight_main: "preflight checks before the main run", "본 실행 전 사전 점검 결과";
    f_env: "preflight table as shown", "화면에 표시된 사전 점검 표";
    f_orchestrator: "what Assay did, step by step", "Assay의 단계별 동작 기록";
    f_monitor: "interim KPIs and events of the watch", "감시 중 중간 KPI와 사건";
    f_phases: "start and end of each phase", "각 단계의 시작과 종료";
    f_samples: "every poll: scrape, operating system, log counters", "폴링별 메트릭, 운영체제, 로그 집계";
    f_panels: "every panel check", "패널 점검 기록";
    f_grafana: "what Grafana was asked and answered", "Grafana 조회와 응답 기록";
    f_rules: "every change of a rule's state", "규칙 상태 변화 기록";
    f_summary: "polls, counts, abort cause", "폴링 수, 집계, 중단 원인";
    f_alerts: "alert and delivery rows of this run", "이 실행의 알림과 전송 기록";
    f_alert_db: "alert store", "알림 데이터베이스";
    f_analysis: "this judgement, machine-readable", "기계 판독용 판정 결과";
    f_report_md: "this report as Markdown", "이 보고서의 Markdown 판";
    f_report_html: "this report as HTML", "이 보고서의 HTML 판";
    f_junit: "the criteria as test results", "시험 결과 형식의 판정 기준";
    f_manifest: "SHA-256 of every artefact, chained", "모든 산출물의 SHA-256 체인";
    f_notice: "abort and verdict as delivered", "전송된 중단·판정 알림";
    f_notice_spool: "abort and verdict as raised", "발생한 중단·판정 알림";
    f_kpi: "the runner's KPI file", "러너의 KPI 파일";
    f_console: "the runner's output", "러너의 출력";
    f_error: "ERROR lines and crash blocks", "ERROR 행과 크래시 블록";
    f_prom: "last metrics snapshot", "마지막 메트릭 스냅숏";
    f_journal: "the runner's journal", "러너의 저널";
    f_kpi_config: "settings that the KPI figures were made with", "KPI 계산에 쓰인 설정";
    f_config: "the runner's configuration file", "러너 설정 파일";
    f_input: "the input log, for replay", "재생용 입력 로그";
    f_local_alerts: "alerts as the local notifier wrote them", "로컬 알림 채널이 기록한 알림";
    f_spool: "alerts on their way to the store", "저장소로 옮겨지기 전의 알림";
    f_other: "further file", "기타 파일";
    printed_by: "Made by Assay {0}. Figures come from the run's typed artefacts.", "Assay {0}에서 생성. 모든 수치는 실행 산출물에서 읽은 값입니다.";
}

/// The name of an exit reason or a stage of the funnel; names that are not fixed words stay as they are.
pub(super) fn name(word: &str, lang: Lang) -> String {
    let (head, tail) = word.split_once(':').map_or((word, None), |(head, tail)| (head, Some(tail)));
    let (en, ko) = match head {
        "take_profit" => ("take profit", "익절"),
        "stop_loss" => ("stop loss", "손절"),
        "time_limit" => ("time limit", "보유 시간 초과"),
        "spread_reversal" => ("spread reversal", "스프레드 반전"),
        "emergency" => ("emergency", "긴급 정지"),
        "kill_switch" => ("kill switch", "킬 스위치"),
        "shutdown" => ("shutdown", "종료 시 청산"),
        "halt" => ("market halted", "거래 중단으로 청산"),
        "trusted" => ("trusted", "신뢰"),
        "repairing" => ("gap being repaired", "누락 복구 중"),
        "resyncing" => ("fetched again after a reconnect", "재연결 후 다시 수신 중"),
        "disconnected" => ("connection lost", "연결 끊김"),
        "silent" => ("connection silent", "연결 무응답"),
        "time_stopped" => ("venue time stands still", "거래소 시각 정지"),
        "crossed" => ("book crossed", "호가 역전"),
        "one_sided" => ("a side empty", "한쪽 호가 없음"),
        "venue_frozen" => ("venue frozen", "거래소 멈춤"),
        "venue_down" => ("venue down", "거래소 중단"),
        "halted" => ("market halted", "거래 중단"),
        "delisted" => ("delisted", "상장 폐지"),
        "warning" => ("under a warning", "투자 유의 지정"),
        "trades_again" => ("trades again", "거래 재개"),
        "joined" => ("joined", "편입"),
        "left" => ("left", "제외"),
        "not_running" => ("runner not running", "러너 미실행"),
        "unwind" => ("unwind", "편측 청산"),
        "total_pnl" => ("total PnL", "총손익"),
        "trading_pnl" => ("trading, at the rates of the fills", "거래 손익(체결 시 환율 기준)"),
        "fx_effect" => ("FX effect on KRW from fills", "체결로 생긴 원화의 환율 효과"),
        "transfer_cost" => {
            ("withdrawal fees of transfers, inside trading", "거래소 간 이동 출금 수수료(거래 손익에 포함)")
        }
        "gross_pnl" => ("gross of closed and unwound", "청산·정리된 거래의 총이익"),
        "fees" => ("fees of them", "위 거래의 수수료"),
        "net_pnl" => ("net of closed and unwound", "청산·정리된 거래의 순손익"),
        "slippage" => ("slippage, decided less realised", "슬리피지(결정 대비 체결)"),
        "updates" => ("updates", "시세 갱신"),
        "evaluated" => ("evaluated", "평가됨"),
        "gross_positive" => ("gross edge > 0", "총 엣지 > 0"),
        "net_positive" => ("net edge > 0", "순 엣지 > 0"),
        "above_threshold" => ("above threshold", "임계값 초과"),
        "blocked" => ("blocked", "차단됨"),
        "sent" => ("sent", "주문 전송"),
        "rejected" => ("rejected", "거부됨"),
        "partly_filled" => ("partly filled", "부분 체결"),
        "filled" => ("filled", "체결됨"),
        "exited" => ("exited", "청산됨"),
        "suppressed" => ("held back", "보류"),
        "syncing" => ("book not in sync", "호가창 동기화 중"),
        "stale" => ("book stale", "호가창 갱신 지연"),
        "broken" => ("book broken", "호가창 오류"),
        "no_fx" => ("no rate of exchange", "환율 없음"),
        "no_level" => ("premium level not known yet", "프리미엄 기준선 미확정"),
        "no_depth" => ("not enough depth", "호가 잔량 부족"),
        "entry_pause" => ("pause after an entry", "진입 직후 대기"),
        "symbol_positions" => ("positions in the symbol", "종목별 포지션 한도"),
        "position_limit" => ("limit on positions", "전체 포지션 한도"),
        "inventory" => ("inventory used up", "재고 부족"),
        "order_size" => ("order size", "주문 크기"),
        "stopping" => ("the run is ending", "종료 진행 중"),
        "edge_at_size" => ("edge too small at the final size", "실제 주문 크기에서 엣지 부족"),
        "not_member" => ("no longer in the universe", "대상 종목에서 제외됨"),
        "cross_loss_streak" => ("loss streak across routes", "전체 경로 연속 손실"),
        "route_loss_streak" => ("loss streak of the route", "경로별 연속 손실"),
        "directional_bias" => ("one-sided positions", "포지션 방향 쏠림"),
        "health_frozen" => ("venue frozen", "거래소 시세 멈춤"),
        "health_down_silent" => ("venue silent", "거래소 무응답"),
        "health_down_latency" => ("venue down: latency", "거래소 장애: 지연 과다"),
        "health_down_errors" => ("venue down: errors", "거래소 장애: 오류 과다"),
        "health_degraded_latency" => ("venue degraded: latency", "거래소 상태 저하: 지연"),
        "health_degraded_errors" => ("venue degraded: errors", "거래소 상태 저하: 오류"),
        "health_degraded_rate" => ("venue degraded: few messages", "거래소 상태 저하: 메시지 감소"),
        "venue_daily_loss" => ("daily loss on a venue", "거래소별 일일 손실 한도"),
        "request_budget" => ("request budget", "API 요청 한도"),
        "gross_gap" => ("gap too wide to be true", "비정상적으로 큰 갭"),
        "route_score" => ("score of the route", "경로 점수 미달"),
        "exposure_degrade" => ("exposure of the symbol, smaller legs", "종목 노출 과다(주문 축소)"),
        "exposure_block" => ("exposure of the symbol", "종목 노출 한도"),
        "volatility" => ("volatility", "변동성 과다"),
        "daily_loss" => ("daily loss", "일일 손실 한도"),
        "total_exposure" => ("total exposure", "총 노출 한도"),
        "emergency_stop" => ("emergency stop", "긴급 정지 발동"),
        "fx_stale" => ("rate of exchange is old", "환율 갱신 지연"),
        "fx_low" => ("rate of exchange too low", "환율 하한 이탈"),
        "fx_high" => ("rate of exchange too high", "환율 상한 이탈"),
        "fx_jump" => ("rate of exchange jumped", "환율 급변"),
        "inventory_imbalance" => ("coin on one venue", "거래소 간 재고 불균형"),
        "exchange_guard_error" => ("exchange guard could not judge", "거래소 가드 계산 불가"),
        "route_guard_error" => ("route guard could not judge", "경로 가드 계산 불가"),
        "symbol_guard_error" => ("symbol guard could not judge", "종목 가드 계산 불가"),
        "global_guard_error" => ("global guard could not judge", "전체 가드 계산 불가"),
        "cross_exchange_guard_error" => {
            ("guard across exchanges could not judge", "거래소 간 가드 계산 불가")
        }
        "cross_exchange" => ("across exchanges", "거래소 간"),
        "exchange" => ("exchange", "거래소"),
        "route" => ("route", "경로"),
        "symbol" => ("symbol", "종목"),
        "global" => ("global", "전체"),
        _ => return word.to_owned(),
    };
    let head = if lang == Lang::Ko { ko } else { en };
    match tail {
        Some(tail) => format!("{head}: {}", name(tail, lang)),
        None => head.to_owned(),
    }
}
