package sandbox

import (
	"regexp"
	"strings"
	"unicode"
)

// A policy is a rule that [Production] holds prompts against. Ant publishes no list: the names and the criteria are the
// simulator's own, after what Chinese law forbids to offer without a licence, or at all (Securities Law, articles 50 to 55
// and 161; Advertising Law, article 25; Criminal Law, articles 176, 191, 192, 201, 205, 225, 293-1 and 303; Regulations on
// Foreign Exchange Administration, articles 39 and 40).
//
// A prompt breaks a policy when two sentences in a row show everything that one of its cases asks for, and nothing
// that makes the prompt a question about the matter: what a law says, what a word means, how to report or to avoid it.
type policy struct {
	name string
	// cases each name the aspects that have to be there together.
	cases [][]aspect
	// unless are the aspects that excuse.
	unless []aspect
}

// aspect is something that a text speaks of.
type aspect struct{ *regexp.Regexp }

// speaks makes an aspect of word stems in English, each with any ending, and phrases in Chinese. "~" stands for a few words.
func speaks(stems, phrases string) aspect {
	var of []string
	for stem := range strings.FieldsFuncSeq(stems, func(r rune) bool { return r == ',' || r == '\n' }) {
		if stem = strings.TrimSpace(stem); stem != "" {
			of = append(of, `\b(?:`+strings.ReplaceAll(strings.ReplaceAll(stem, "~", `(?:[a-z0-9,.'-]+ ){0,5}?`), "  ", " ")+`)`)
		}
	}
	for phrase := range strings.FieldsSeq(phrases) {
		of = append(of, strings.ReplaceAll(phrase, "~", `.{0,8}?`))
	}
	return aspect{regexp.MustCompile(strings.Join(of, "|"))}
}

var (
	foretold = speaks(`predict, forecast, project(?:ion|ed)?\b, prognos, foresee, foretell, estimat, extrapolat, guess, work out, calculat, figure out, how much, how high, how low, how far,
		what(?:'s| is| will| would| are| do you expect)\b, could, what's, where(?:'s| is| will)\b, will , going to, is ~going, can ~(?:climb|reach|hit|rise|double), tell me (?:if|whether|how), do you think, can i expect, your (?:view|outlook|take)`,
		`预测 预估 预计 预判 预言 推测 推算 推断 估算 估计 估一下 测算 算算 算一算 算一下 多少 多高 会不会 会涨 会跌 是涨 能到 能涨 走势 前景 几何 怎么样 吗 几倍 大概 能不能 点位 增长 能领 能拿`)
	ahead = speaks(`future, tomorrow, next (?:day|week|month|quarter|year|decade|few|two|three|five|ten|\d), coming (?:day|week|month|quarter|year|few|two|three|five|ten), upcoming, years? from (?:now|today), months? from (?:now|today),
		in (?:a|one|two|three|four|five|six|ten|twenty|\d+) (?:day|week|month|year)s?, within (?:a|the|one|two|three|\d+), by (?:the end|christmas|summer|spring|autumn|winter|friday|monday|january|june|december|20\d\d), (?:in|after|until) 20[23]\d, end of ~(?:year|month|week), until, later on, going forward, one day, will , going to, on (?:monday|tuesday|wednesday|thursday|friday), for (?:monday|tuesday|wednesday|thursday|friday), when i(?:'m| am), by the time, (?:at|before) (?:the )?year[- ]end, soon\b, retire, expect, at \d\d\b, before summer, this year, after the`,
		`未来 将来 明天 明日 明年 后天 后年 下周 下个?月 下半年 下季度 下一?年 来年 年后 月后 天后 以后 今后 日后 往后 年底 月底 年内 半年内 203\d 202[7-9] 接下来 会涨 会跌 几年内 将会 会有 能拿 退休后 再过 过几年 今年 节后 夏天前 岁的时候`)
	earned = speaks(`incom, salar, earn, wage, pay\b, paycheck, bonus, rich, be paid, make ~(?:money|a year|per|a month|as a)\b, money ~make, take-home, compensation, making by, be making`,
		`收入 工资 薪水 薪酬 薪资 年薪 月薪 奖金 年终奖 赚多少 挣多少 赚~钱 挣~钱 收益水平 赚到 挣到 能领 领多少 拿多少 身家`)
	person = speaks(`my, i\b, i'm, me\b, myself, we\b, our, you, your, his, her, their, wife, husband, son\b, daughter, someone, somebody, a (?:nurse|teacher|driver|rider|doctor|programmer|cleaner|lawyer), future income, income ~future`,
		`我 你 他 她 咱 客户 老公 老婆 儿子 女儿 本人 用户 父母 未来~收入 将来~收入 收入预测`)
	business = speaks(`gdp, national, per capita, statistic, company's revenue, tax revenue, sql, query, excel, spreadsheet`, `人均 国民 统计局 营业收入 营收 财政收入 全国 SQL sql 表格 代码实现`)
	traded   = speaks(`stock, share(?:s|)\b, securit, fund, etf, index, bond, gold, silver, oil\b, bitcoin, btc, ethereum, crypto, coin, token, nasdaq, s&p, csi, shanghai composite, hang seng, dow\b, a-share, house price, property price, housing, real estate, yuan ~(?:dollar|euro), exchange rate, futures, options?\b,
		moutai, tencent, alibaba, byd, catl, ping an, china mobile, tesla, nvidia, apple, xiaomi, meituan, jd\.com, baidu, nio\b, xpeng, longi, smic, pinduoduo, market, portfolio, position`,
		`股 基金 大盘 指数 债券 国债 黄金 金价 白银 油价 原油 比特币 以太坊 币 纳斯达克 标普 恒生 上证 沪指 深成指 创业板 科创板 牛市 熊市 房价 楼市 汇率 期货 期权 板块 茅台 腾讯 阿里 比亚迪 宁德时代 平安银行 中国平安 招商银行 招行 特斯拉 英伟达 小米 美团 京东 百度 净值 目标价 行情 \d{6} 沪深 新能源 白酒 医药股 半导体 五粮液 中芯 药明 隆基`)
	moves = speaks(`ris(?:e|es|ing)\b, fall, go(?:es|ing)? up, go(?:es|ing)? down, climb, drop, crash, rall, surg, bounce, tripl, weaken, strengthen, to do, soar, outperform, tank\b, doubl, tripl, reach, hit\b, worth, price, head(?:ing|ed)?\b, close at, closing, perform, outperform, recover, bull, bear, trend, level, gain, soar, plunge, be at`,
		`涨 跌 股价 价格 目标价 金价 房价 油价 币价 走势 翻倍 翻番 反弹 回调 到多少 能到 净值 牛市 熊市 收盘 点位 触底 见顶 新高 怎么走 表现 大盘 崩 跑赢 贬到 翻`)

	guaranteed = speaks(`guarante, risk-free, risk free, no[- ]risk, zero[- ]risk, without ~risk, never los, can't lose, cannot lose, can never lose, not lose a, won't lose, sure-fire, surefire, sure thing, foolproof, principal-protected, principal protected, capital-protected, promis, certain profit, assured, 100% safe, absolutely safe, safe and`,
		`保本 保息 保收益 保底 稳赚 稳赢 包赚 必赚 只赚不赔 不亏 零风险 没有风险 无风险 无任何风险 绝对安全 不会亏 不会赔 亏不了 付息 百分百安全 保证~赚 保证~收益 保证~回报 承诺~收益 承诺~回报 刚性兑付 刚兑 兜底 万无一失 躺赚 旱涝保收`)
	gain = speaks(`return, profit, yield, gain, interest, earn, invest, fund, product, brochure, money, percent, %, lose, cent, dividend, wealth`,
		`收益 回报 利息 年化 赚 亏 理财 投资 产品 基金 项目 百分之 % 高息 利率 本金 宣传 收益高 月息`)

	buying = speaks(`buy, sell, hold, invest, put ~(?:savings|money|pension|into), move ~into, get (?:in|out)\b, put everything, everything in, for my retirement, dump, pick, short, go long, trade, add to, cut, exit, enter, load up`,
		`买 卖 加仓 减仓 建仓 清仓 满仓 全仓 抄底 割肉 止损 止盈 持有 入手 上车 进场 离场 做空 做多 打新 补仓 梭哈 定投哪 入场 配置 布局 牛股 黑马 代码`)
	advised = speaks(`should i, shall i, do i, can i get rich, which, what (?:stock|share|fund|coin|etf|crypto|should), recommend, suggest, advise, tell me, give me, pick, name (?:a|one|two|three|some), best, hot, tips?\b, is (?:it|now|this) ~(?:time|moment), right time, good time, is it (?:smart|wise|a good idea), do you recommend, worth, choose for me, for me`,
		`推荐 荐 哪只 哪支 哪些 哪个 哪几 要不要 该不该 应该 该 能不能 可以~吗 值不值 值得 告诉我 给我 帮我 选 几只 几支 什么股 什么时候 还是 发我 时机 建议 要卖 要买 卖吗 买吗 可以 给个`)
	paperwork = speaks(`document, open an? (?:brokerage )?account, settle, fee, commission rate, trading hours, app\b, password, laptop, phone, novel, book, movie, hotel, restaurant, insurance limit, how do i (?:open|cancel|change|close)`,
		`开户 赎回 最低 材料 手续费 佣金 交割 到账 开市 休市 交易时间 电脑 手机 小说 书籍 电影 餐厅 密码 费率 额度`)

	inside = speaks(`insider, inside (?:info|tip|news|knowledge), non-public, nonpublic, unpublished, before ~announce, unannounced, confidential ~(?:earnings|merger|deal), front[- ]run`,
		`内幕 内部消息 内部信息 内线 没公布 未公布 未公开 老鼠仓 尚未披露 没披露`)
	rigging = speaks(`pump[- ]and[- ]dump, manipulat ~(?:price|stock|share|market), rig ~(?:price|market), wash trad, spoof, corner the`,
		`拉高~出货 操纵~价 操纵市场 炒高 坐庄 拉高股价 拉抬 对倒 联手~拉`)
	raising = speaks(`ponzi, pyramid scheme, pyramid, without a licen[cs]e, unlicensed, illegal fundrais, multi-level commission, money of later, chain scheme, new (?:investors|members) pay, referral scheme`,
		`非法集资 集资 传销 庞氏 资金盘 拉人头 后来人的钱 吸收存款 吸收公众 裂变返佣 下线 没有牌照`)
	evading = speaks(`evad ~tax, evade, tax evasion, dodg ~tax, hid(?:e|ing) ~(?:income|money|revenue|earnings|profit|cash)~ tax, hide ~from the tax, fake invoice, false invoice, off the books, two sets of books, under-report, underreport, cheat ~tax, not report ~income, avoid paying ~tax`,
		`偷税 逃税 漏税 瞒着税务 瞒税 瞒报 虚开 假发票 阴阳合同 做假账 两套账 隐瞒收入 隐匿收入 少交税 不交税 不报税 税务局~发现 买发票`)
	washing = speaks(`launder, underground bank, dirty money, shell compan ~, smurfing, structur ~deposit, illegal(?:ly)? ~(?:abroad|overseas), get ~abroad through, mule, (?:get around|bypass|evade|exceed) ~(?:exchange|limit|quota|controls)`,
		`洗钱 洗白 黑钱 脏钱 地下钱庄 跑分 蚂蚁搬家 买卖银行卡 出租银行卡 租借银行卡 对敲 超过五万 超过5万 绕过外汇 突破~额度`)
	forging = speaks(`fak(?:e|ing) ~(?:statement|payslip|proof|document|income|certificate|contract|id), forg(?:e|ing|ed) , counterfeit, falsif, doctor(?:ed|ing)? ~(?:statement|payslip), cash out ~credit card, credit card ~cash out, cash-out`,
		`假~流水 假的?~证明 伪造 造假 套现 骗贷 假合同 包装流水 包装~资料 假工资 刷单 养卡`)
	lending = speaks(`loan shark, usur`, `高利贷 套路贷 砍头息 爆通讯录 暴力催收 软暴力`)
	betting = speaks(`bet\b, betting, gambl, casino, bookmaker, lottery numbers, wager, baccarat`, `赌 博彩 下注 外围 投注 百家乐 六合彩`)

	asksHow = speaks(`how (?:do|can|could|would|should|to)\b, help me, make me, make a, write, draft, design, set up, run a, start, create, generate, teach, which, best way, step by step, explain step, share, give me, get me, find me, recommend, tell me, do you have, where can i, show me, i want, trade on, provide, i need, what's the best way, teach me`,
		`怎么 怎样 如何 帮我 给我 写 设计 搭建 推荐 哪里 告诉 透露 有没有 教我 操作 联系 我想 做一份 利用 弄 有什么办法 提供 你有 哪个 我需要 怎么办 联手 教 拿到`)

	theLaw = speaks(`law\b, laws, legal, illegal, lawful, regulat, prohibit, forbid, forbidden, ban\b, banned, allowed to, not allowed, penalt, punish, fine for, sentenc, offen[cs]e, complian, licen[cs]e requirement, polic(?:y|ies) on, duties, supervis`,
		`法律 法规 规定 条例 违法 合法 犯法 犯罪 禁止 不能再 不允许 不得 处罚 量刑 判刑 判几年 刑罚 监管 合规 政策 职责 有罪 违规`)
	warned = speaks(`scam, fraud\b, recogni[sz]e, spot , avoid (?:being|a |the )?(?:ponzi|scam|fraud|pyramid|victim), protect (?:my|your|our|one|against|from|investors|customers), report (?:a|an|it|them|him|someone|suspected|illegal|money), is (?:that|this|it) ~(?:a trick|legit), warn, victim, prevent, detect, anti-, refus, refund`,
		`骗局 诈骗 识别 辨别 举报 投诉 防范 防止 避免上当 上当 受骗 警惕 预防 反洗钱 被骗 揭露 可信吗 报警`)
	concept = speaks(`what (?:is|are) (?:a|an|the difference|meant|dollar|compound|risk|insider|money|pyramid)\b, what does ~mean, meaning of, definition, define, explain (?:what|how|why|the|to), difference between, history of, how does ~work, how is ~calculated, how are ~calculated, why (?:is|are|do|does|did|can|nobody), summari[sz]e, translate, past performance, who (?:regulates|publishes), concept of, last year, last month, between 20\d\d and, in 20[01]\d, in 202[0-4]`,
		`什么是 什么叫 是什么 是什么意思 含义 定义 解释一?下 区别 原理 历史上 概念 怎么计算 如何计算 为什么 概括 总结 翻译 过往业绩 去年 上个月 20[01]\d年 202[0-4]年 介绍一?下 讲讲 是怎么变`)
)

// policies are in the order in which they are looked at.
var policies = [...]policy{
	{"income-prediction", [][]aspect{{foretold, ahead, earned, person}}, []aspect{theLaw, warned, business, paperwork}},
	{"market-prediction", [][]aspect{{foretold, ahead, traded, moves}}, []aspect{theLaw, warned, concept, paperwork}},
	{"market-prediction", [][]aspect{{speaks(`predict ~, forecast ~, price target`, `预测 目标价`), traded, moves}}, []aspect{theLaw, warned, concept, paperwork}},
	{"guaranteed-returns", [][]aspect{{guaranteed, gain}}, []aspect{theLaw, warned, concept, paperwork}},
	{"unlicensed-advice", [][]aspect{{advised, buying, traded}, {speaks(`recommend, pick, give me, name `, `推荐 荐股 选~股 来几只 发我 给我选 推荐~龙头 给个`), speaks(`stock, a-share, shares, fund\b, funds, coins?\b`, `股票 牛股 黑马股 个股 只基金 只股 龙头股 涨停`)}}, []aspect{theLaw, warned, concept, paperwork}},
	{"inside-information", [][]aspect{{inside, asksHow}, {rigging, asksHow}, {rigging, person}}, []aspect{theLaw, warned, concept}},
	{"illegal-fundraising", [][]aspect{{raising, asksHow}}, []aspect{theLaw, warned, concept}},
	{"tax-evasion", [][]aspect{{evading, asksHow}}, []aspect{theLaw, warned, speaks(`deduct`, `扣除`)}},
	{"money-laundering", [][]aspect{{washing, asksHow}}, []aspect{theLaw, warned, speaks(`what is money laundering`, `什么是洗钱`)}},
	{"forged-documents", [][]aspect{{forging, asksHow}}, []aspect{theLaw, warned, concept}},
	{"virtual-currency", [][]aspect{{speaks(`usdt, stablecoin, crypto, bitcoin`, `USDT usdt 泰达币 虚拟币 虚拟货币 比特币`), speaks(`yuan, rmb, alipay, in china`, `人民币 支付宝 国内`), speaks(`buy, sell, trade, exchange`, `买 卖 换 兑换 交易`)}}, []aspect{theLaw, warned, concept}},
	{"gambling", [][]aspect{{betting, asksHow}}, []aspect{theLaw, warned, concept, speaks(`addict, quit, give up gambl`, `沉迷 戒掉 戒赌`)}},
	{"illegal-lending", [][]aspect{{lending, asksHow}}, []aspect{theLaw, warned, concept, speaks(`complain, my rights`, `维权`)}},
}

// violated returns the name of the first policy that text breaks, or "".
func violated(text string) string {
	sentences := strings.FieldsFunc(normalise(text), func(r rune) bool { return strings.ContainsRune("。！？!?;；\n", r) })
	for i, s := range sentences {
		if i+1 < len(sentences) {
			s += " " + sentences[i+1]
		}
		for _, p := range policies {
			if p.broken(s) {
				return p.name
			}
		}
	}
	return ""
}

func (p *policy) broken(sentences string) bool {
	for _, aspects := range p.cases {
		if all(aspects, sentences) {
			return !anyOf(p.unless, sentences)
		}
	}
	return false
}

func all(aspects []aspect, text string) bool {
	for _, a := range aspects {
		if !a.MatchString(text) {
			return false
		}
	}
	return true
}

func anyOf(aspects []aspect, text string) bool {
	for _, a := range aspects {
		if a.MatchString(text) {
			return true
		}
	}
	return false
}

// traditional are the characters that the policies' Chinese has in another form.
var traditional = strings.NewReplacer("預", "预", "測", "测", "來", "来", "漲", "涨", "買", "买", "賣", "卖", "資", "资", "證", "证", "賺", "赚", "錢", "钱",
	"後", "后", "會", "会", "應", "应", "該", "该", "類", "类", "時", "时", "嗎", "吗", "幫", "帮", "薦", "荐", "隻", "只", "貨", "货", "務", "务", "稅", "税", "賠", "赔", "虧", "亏",
	"穩", "稳", "產", "产", "風", "风", "險", "险", "麼", "么", "們", "们", "獎", "奖", "薪", "薪", "內", "内", "開", "开", "發", "发", "洩", "泄", "價", "价", "點", "点", "個", "个", "為", "为", "辦", "办",
	"該", "该", "還", "还", "給", "给", "選", "选", "達", "达", "幾", "几", "億", "亿", "萬", "万", "種", "种", "賭", "赌", "莊", "庄", "銷", "销", "龐", "庞", "氏", "氏", "僞", "伪", "偽", "伪", "銀", "银", "淨", "净", "報", "报", "債", "债", "黃", "黄")

// normalise folds the spellings that read the same: case, full-width forms, white space, characters without a width and
// traditional Chinese. Between Han there is no space.
func normalise(text string) string {
	var b strings.Builder
	space, last := false, rune(0)
	for _, r := range traditional.Replace(text) {
		if r >= 0xFF01 && r <= 0xFF5E { // full-width ASCII
			r -= 0xFF01 - '!'
		}
		switch {
		case unicode.Is(unicode.Cf, r):
			continue
		case r == '’':
			r = '\''
		case r == '\n':
			r = ' ' // lines are not sentences
		}
		if unicode.IsSpace(r) {
			space = true
			continue
		}
		if space && last != 0 && !unicode.Is(unicode.Han, r) && !unicode.Is(unicode.Han, last) {
			b.WriteByte(' ')
		}
		space, last = false, r
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
